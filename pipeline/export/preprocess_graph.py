"""`imaging.preprocess` as an ONNX graph, for clients and servers without Pillow.

Input `image`, uint8 (N, H, W, 3) RGB of any height and width, upright: decoding is the client's.
Output `pixels`, uint8 (N, S, S, 3), what the classifier takes. Each `fit` has its own graph:

squash  one Resize.
pad     one Resize to the size that the image has in the square, then the bands.
crop    Resize cannot start in the middle of a pixel, so the two passes of the triangle filter are
        written out as products with matrices of weights; costs more than Resize on large images.

Pillow rounds to 8 bits between its two passes, ONNX Runtime's Resize where its kernel does: single
values differ by 1. How many is measured on real images and written into the file.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import onnx
import onnxruntime as ort

from pipeline.core.errors import ExportError
from pipeline.export.onnx_file import set_metadata
from pipeline.export.parity import Reference
from pipeline.imaging.decode import decode
from pipeline.imaging.preprocess import PAD_COLOUR, Pixels
from pipeline.imaging.spec import PreprocessSpec

IMAGE, PIXELS = "image", "pixels"
OPSET = 19
"""Resize with antialias came with 18."""

# exclude_outside renormalises the filter at the borders, as Pillow does; without it they differ by
# up to 15 of 255. On uint8: a Resize of floats that is rounded afterwards differs more often.
RESIZE = (
    'Resize <mode = "linear", antialias = 1, exclude_outside = 1, '
    'coordinate_transformation_mode = "half_pixel">'
)

SQUASH = """
    n = Shape <start = 0, end = 1> (image)
    square = Constant <value = int64[3] {{{size}, {size}, 3}}> ()
    sizes = Concat <axis = 0> (n, square)
    pixels = {resize} (image, , , sizes)
"""

# sides = max(1, round half up of sides * size / longest side), in whole numbers: `padded_side`.
PAD = """
    n = Shape <start = 0, end = 1> (image)
    hw = Shape <start = 1, end = 3> (image)
    none = Constant <value = int64[1] {{0}}> ()
    one = Constant <value = int64[1] {{1}}> ()
    two = Constant <value = int64[1] {{2}}> ()
    three = Constant <value = int64[1] {{3}}> ()
    size = Constant <value = int64[1] {{{size}}}> ()
    longest = ReduceMax <keepdims = 1> (hw)
    hw_size = Mul (hw, size)
    twice_hw_size = Mul (hw_size, two)
    numerator = Add (twice_hw_size, longest)
    denominator = Mul (longest, two)
    rounded = Div (numerator, denominator)
    sides = Max (rounded, one)
    sizes = Concat <axis = 0> (n, sides, three)
    resized = {resize} (image, , , sizes)
    free = Sub (size, sides)
    before = Div (free, two)
    after = Sub (free, before)
    bands = Concat <axis = 0> (none, before, none, none, after, none)
    zero = Constant <value = uint8 {{0}}> ()
    full = Constant <value = uint8 {{255}}> ()
    padded = Pad (resized, bands, zero)
    ones = Expand (full, sizes)
    shown = Pad (ones, bands, zero)
    mask = Cast <to = 9> (shown)
    colour = Constant <value = uint8[1, 1, 1, 3] {{{colour}}}> ()
    pixels = Where (mask, padded, colour)
"""

# Output pixel i of an axis is centred at start + (i + 0.5) * scale, in pixels of the image, and
# weighs the pixel centres around it by a triangle as wide as the scale, but no less than 1.
AXIS = """
    {axis}_n = Shape <start = {dim}, end = {next}> (chw)
    {axis}_count = Squeeze ({axis}_n)
    {axis}_length = Cast <to = 1> ({axis}_n)
    {axis}_spare = Sub ({axis}_length, side)
    {axis}_start = Mul ({axis}_spare, half)
    {axis}_offsets = Mul (steps, scale)
    {axis}_centres = Add ({axis}_offsets, {axis}_start)
    {axis}_index = Range (first, {axis}_count, step)
    {axis}_whole = Cast <to = 1> ({axis}_index)
    {axis}_places = Add ({axis}_whole, half)
    {axis}_apart = Sub ({axis}_places, {axis}_centres)
    {axis}_scaled = Div ({axis}_apart, reach)
    {axis}_far = Abs ({axis}_scaled)
    {axis}_near = Sub (one, {axis}_far)
    {axis}_triangle = Relu ({axis}_near)
    {axis}_sums = ReduceSum <keepdims = 1> ({axis}_triangle, last)
    {axis}_weights = Div ({axis}_triangle, {axis}_sums)
"""

CROP = (
    """
    chw = Transpose <perm = [0, 3, 1, 2]> (image)
    levels = Cast <to = 1> (chw)
    hw = Shape <start = 2, end = 4> (chw)
    shortest = ReduceMin <keepdims = 1> (hw)
    side = Cast <to = 1> (shortest)
    half = Constant <value = float[1] {{0.5}}> ()
    one = Constant <value = float[1] {{1.0}}> ()
    size = Constant <value = float[1] {{{size}.0}}> ()
    first = Constant <value = int64 {{0}}> ()
    step = Constant <value = int64 {{1}}> ()
    last = Constant <value = int64[1] {{1}}> ()
    scale = Div (side, size)
    reach = Max (scale, one)
    count = Constant <value = int64 {{{size}}}> ()
    index = Range (first, count, step)
    whole = Cast <to = 1> (index)
    row = Add (whole, half)
    steps = Unsqueeze (row, last)
"""
    + AXIS.replace("{axis}", "x").replace("{dim}", "3").replace("{next}", "4")
    + AXIS.replace("{axis}", "y").replace("{dim}", "2").replace("{next}", "3")
    + """
    x_across = Transpose <perm = [1, 0]> (x_weights)
    narrow = MatMul (levels, x_across)
    narrow_up = Add (narrow, half)
    narrow_rounded = Floor (narrow_up)
    small = MatMul (y_weights, narrow_rounded)
    small_up = Add (small, half)
    small_rounded = Floor (small_up)
    bytes = Cast <to = 2> (small_rounded)
    pixels = Transpose <perm = [0, 2, 3, 1]> (bytes)
"""
)

GRAPHS = {"squash": SQUASH, "pad": PAD, "crop": CROP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """How far the graph is from Pillow on real images."""

    n: int
    """Images."""
    max_diff: int
    """Largest difference of a value, of 255."""
    differing: float
    """Share of the values that differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedPreprocess:
    """The file, and what was measured of it."""

    content: bytes
    skew: Skew


def prove_preprocess(
    spec: PreprocessSpec, contents: Sequence[bytes], reference: Reference, *, max_pixel_diff: int
) -> ProvedPreprocess:
    """Return the graph of a preprocessing, proved on real images.

    Args:
        spec: of the model.
        contents: M encoded images.
        reference: their pixels, first of all.
        max_pixel_diff: largest difference of a value that is let pass, of 255.

    Raises:
        ExportError: there is no graph for this fit, or a value differs by more.
    """
    proto = preprocess_graph(spec)
    skew = measure_skew(proto, contents, reference.pixels[: len(contents)])
    if skew.max_diff > max_pixel_diff:
        raise ExportError(
            f"the graph of the preprocessing differs from Pillow by {skew.max_diff} of 255 on "
            f"{skew.n} images, limit {max_pixel_diff} (export_onnx.max_pixel_diff)"
        )
    facts = {"preprocess": asdict(spec), "skew": asdict(skew)}
    set_metadata(proto, {key: json.dumps(value, sort_keys=True) for key, value in facts.items()})
    content = bytes(proto.SerializeToString(deterministic=True))
    return ProvedPreprocess(content=content, skew=skew)


def preprocess_graph(spec: PreprocessSpec) -> onnx.ModelProto:
    """Return the graph for a preprocessing, without metadata.

    Raises:
        ExportError: there is no graph for this fit.
    """
    if spec.fit not in GRAPHS:
        raise ExportError(f"preprocessing {spec.fit!r} has no graph; it has {', '.join(GRAPHS)}")
    size = spec.size_px
    body = GRAPHS[spec.fit].format(size=size, resize=RESIZE, colour=", ".join(map(str, PAD_COLOUR)))
    proto: onnx.ModelProto = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["" : {OPSET}], producer_name: "pipeline.export">\n'
        f"preprocess (uint8[N, H, W, 3] {IMAGE}) => (uint8[N, {size}, {size}, 3] {PIXELS})\n"
        f"{{{body}}}"
    )
    onnx.checker.check_model(proto)
    return proto


def measure_skew(proto: onnx.ModelProto, contents: Sequence[bytes], pixels: Pixels) -> Skew:
    """Compare the graph with Pillow on M encoded images, of which (M, S, S, 3) are the pixels."""
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    largest, differing = 0, 0
    for content, expected in zip(contents, pixels, strict=True):
        image = np.asarray(decode(content))[None]
        (found,) = session.run([PIXELS], {IMAGE: image})
        apart = np.abs(found[0].astype(np.int16) - expected)
        largest, differing = max(largest, int(apart.max())), differing + int((apart > 0).sum())
    return Skew(n=len(contents), max_diff=largest, differing=round(differing / pixels.size, 5))
