"""`imaging.preprocess` as an ONNX graph, for clients and servers without Pillow.

Input `image`, uint8 (N, H, W, 3) RGB of any height and width, upright: decoding is the client's.
Output `pixels`, uint8 (N, S, S, 3), what the classifier takes. Each `fit` has its own graph:

squash  one Resize.
pad     one Resize to the size that the image has in the square, then the bands.
crop    Resize cannot start in the middle of a pixel, so the two passes of the filter are written
        out as products with matrices of weights; costs more than Resize on large images.
resize_crop, resize_squash  one Resize to the size that the image has before the cut, then the cut.

Pillow rounds to 8 bits between its two passes, ONNX Runtime's Resize where its kernel does: single
values differ by 1. How many is measured on real images and written into the file.

Bicubic overshoots at edges, and Pillow cuts to 0..255 after each pass: in the other order of the
passes single values differ by 30. Resize is always width first; Pillow 13 is not. So there are two
Resizes, a pass each, in the order that Pillow takes for these sizes.
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
from pipeline.imaging.preprocess import CUTS, PAD_COLOUR, Pixels, resized_short_side
from pipeline.imaging.spec import BICUBIC, BILINEAR, PreprocessSpec

IMAGE, PIXELS = "image", "pixels"
OPSET = 19
"""Resize with antialias came with 18."""

# exclude_outside renormalises the filter at the borders, as Pillow does; without it they differ by
# up to 15 of 255. On uint8: a Resize of floats that is rounded afterwards differs more often.
RESIZE = (
    'Resize <mode = "{mode}", antialias = 1, exclude_outside = 1, '
    'coordinate_transformation_mode = "half_pixel"{more}>'
)
RESIZES = {
    BILINEAR: RESIZE.format(mode="linear", more=""),
    # Pillow's cubic; ONNX's own is that of -0.75.
    BICUBIC: RESIZE.format(mode="cubic", more=", cubic_coeff_a = -0.5"),
}

# Pillow's order of passes: the height comes first if it shrinks, and by more than twice as many
# pixels as the width. Bilinear never leaves 0..255, and either order will do: one Resize.
FIRST_PASS = {
    BILINEAR: "",
    BICUBIC: """
    old_sizes = Shape (image)
    shrinkage = Sub (old_sizes, sizes)
    nothing = Constant <value = int64[1] {{0}}> ()
    y = Constant <value = int64[1] {{1}}> ()
    x = Constant <value = int64[1] {{2}}> ()
    y_shrinkage = Gather (shrinkage, y)
    x_shrinkage = Gather (shrinkage, x)
    twice_x_shrinkage = Add (x_shrinkage, x_shrinkage)
    at_least = Max (twice_x_shrinkage, nothing)
    height_first = Greater (y_shrinkage, at_least)
    only_y = Constant <value = bool[4] {{0, 1, 0, 0}}> ()
    only_x = Constant <value = bool[4] {{0, 0, 1, 0}}> ()
    low_sizes = Where (only_y, sizes, old_sizes)
    narrow_sizes = Where (only_x, sizes, old_sizes)
    first_sizes = Where (height_first, low_sizes, narrow_sizes)
    first = {resize} (image, , , first_sizes)
""",
}
RESIZED = {BILINEAR: "image", BICUBIC: "first"}
"""What the Resize of a graph takes."""

SQUASH = """
    n = Shape <start = 0, end = 1> (image)
    square = Constant <value = int64[3] {{{size}, {size}, 3}}> ()
    sizes = Concat <axis = 0> (n, square)
    {first_pass}
    pixels = {resize} ({resized}, , , sizes)
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
    {first_pass}
    resized = {resize} ({resized}, , , sizes)
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

# sides = sides * resize_px / shortest side, rounded down.
SIDES = """
    hw = Shape <start = 1, end = 3> (image)
    shortest = ReduceMin <keepdims = 1> (hw)
    hw_resize_px = Mul (hw, resize_px)
    sides = Div (hw_resize_px, shortest)
"""
EQUAL_SIDES = """
    sides = Concat <axis = 0> (resize_px, resize_px)
"""
RESIZE_PX = """
    resize_px = Constant <value = int64[1] {{{resize_px}}}> ()
"""

# What lies before the square is half of what is left over, rounded half to even.
MIDDLE = """
    n = Shape <start = 0, end = 1> (image)
    two = Constant <value = int64[1] {{2}}> ()
    three = Constant <value = int64[1] {{3}}> ()
    size = Constant <value = int64[1] {{{size}}}> ()
    sizes = Concat <axis = 0> (n, sides, three)
    {first_pass}
    resized = {resize} ({resized}, , , sizes)
    free = Sub (sides, size)
    half = Div (free, two)
    odd = Mod (half, two)
    free_to_even = Add (free, odd)
    start = Div (free_to_even, two)
    end = Add (start, size)
    axes = Constant <value = int64[2] {{1, 2}}> ()
    pixels = Slice (resized, start, end, axes)
"""

# Output pixel i of an axis is centred at start + (i + 0.5) * scale, in pixels of the image, and
# weighs the pixel centres around it by a kernel as wide as the scale, but no less than 1.
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
    {kernel}
    {axis}_sums = ReduceSum <keepdims = 1> ({axis}_kernel, last)
    {axis}_weights = Div ({axis}_kernel, {axis}_sums)
"""

# The cubic kernel with a = -0.5 is t * t * (1 - 2 * t) + u * u * (u - 1) / 2, where t is the
# triangle of radius 1, and u that of radius 2 and height 2: both are 0 further away.
KERNELS = {
    BILINEAR: "{axis}_kernel = Identity ({axis}_triangle)",
    BICUBIC: """
    {axis}_t_t = Mul ({axis}_triangle, {axis}_triangle)
    {axis}_2_t = Add ({axis}_triangle, {axis}_triangle)
    {axis}_1_minus_2_t = Sub (one, {axis}_2_t)
    {axis}_inner = Mul ({axis}_t_t, {axis}_1_minus_2_t)
    {axis}_nearer = Add ({axis}_near, one)
    {axis}_u = Relu ({axis}_nearer)
    {axis}_u_u = Mul ({axis}_u, {axis}_u)
    {axis}_u_minus_1 = Sub ({axis}_u, one)
    {axis}_twice_outer = Mul ({axis}_u_u, {axis}_u_minus_1)
    {axis}_outer = Mul ({axis}_twice_outer, half)
    {axis}_kernel = Add ({axis}_inner, {axis}_outer)
""",
}

# A pass leaves 8 bits, as Pillow's do.
ROUND = """
    {name}_up = Add ({name}, half)
    {name}_floor = Floor ({name}_up)
    {name}_rounded = Clip ({name}_floor, black, white)
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
    black = Constant <value = float {{0.0}}> ()
    white = Constant <value = float {{255.0}}> ()
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
    {x_axis}
    {y_axis}
    x_across = Transpose <perm = [1, 0]> (x_weights)
    y_shrinkage = Sub (y_n, count)
    x_shrinkage = Sub (x_n, count)
    twice_x_shrinkage = Add (x_shrinkage, x_shrinkage)
    at_least = Max (twice_x_shrinkage, first)
    may_be_first = Greater (y_shrinkage, at_least)
    height_first = Squeeze (may_be_first)
    small = If (height_first) <
        then_branch = height_then_width () => (float[N, 3, {size}, {size}] low_small) {{
            low = MatMul (y_weights, levels)
"""
    + ROUND.replace("{name}", "low")
    + """
            low_small = MatMul (low_rounded, x_across)
        }},
        else_branch = width_then_height () => (float[N, 3, {size}, {size}] narrow_small) {{
            narrow = MatMul (levels, x_across)
"""
    + ROUND.replace("{name}", "narrow")
    + """
            narrow_small = MatMul (y_weights, narrow_rounded)
        }}
    >
"""
    + ROUND.replace("{name}", "small")
    + """
    bytes = Cast <to = 2> (small_rounded)
    pixels = Transpose <perm = [0, 2, 3, 1]> (bytes)
"""
)

GRAPHS = {
    "squash": SQUASH,
    "pad": PAD,
    "crop": CROP,
    "resize_crop": RESIZE_PX + SIDES + MIDDLE,
    "resize_squash": RESIZE_PX + EQUAL_SIDES + MIDDLE,
}


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
        ExportError: there is no graph for this fit and resample.
        ArtifactError: a square is to be cut from less than its size.
    """
    if spec.fit not in GRAPHS or spec.resample not in RESIZES:
        raise ExportError(
            f"preprocessing {spec.fit!r} has no graph with {spec.resample!r}; "
            f"it has {', '.join(GRAPHS)}, each with {' or '.join(RESIZES)}"
        )
    size = spec.size_px
    proto: onnx.ModelProto = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["" : {OPSET}], producer_name: "pipeline.export">\n'
        f"preprocess (uint8[N, H, W, 3] {IMAGE}) => (uint8[N, {size}, {size}, 3] {PIXELS})\n"
        f"{{{_body(spec)}}}"
    )
    onnx.checker.check_model(proto)
    return proto


def _body(spec: PreprocessSpec) -> str:
    resize = RESIZES[spec.resample]
    return GRAPHS[spec.fit].format(
        size=spec.size_px,
        resize_px=resized_short_side(spec) if spec.fit in CUTS else None,
        colour=", ".join(map(str, PAD_COLOUR)),
        resize=resize,
        resized=RESIZED[spec.resample],
        first_pass=FIRST_PASS[spec.resample].format(resize=resize),
        x_axis=_axis("x", 3, spec.resample),
        y_axis=_axis("y", 2, spec.resample),
    )


def _axis(axis: str, dim: int, resample: str) -> str:
    kernel = KERNELS[resample].format(axis=axis)
    return AXIS.format(axis=axis, dim=dim, next=dim + 1, kernel=kernel)


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
