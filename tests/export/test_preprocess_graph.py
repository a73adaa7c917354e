"""preprocess.onnx against Pillow, which it has to match, and against a wrong geometry."""

import io
import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from PIL import Image

from pipeline.core.errors import ArtifactError, ExportError
from pipeline.export.parity import Reference
from pipeline.export.preprocess_graph import (
    GRAPHS,
    measure_skew,
    preprocess_graph,
    prove_preprocess,
)
from pipeline.imaging.preprocess import CUTS, GEOMETRIES, pixels_from_bytes, preprocess
from pipeline.imaging.spec import BICUBIC, BILINEAR, PreprocessSpec

RESAMPLES = (BILINEAR, BICUBIC)
SIDES = [
    (8, 8),
    (8, 160),
    (160, 8),
    (48, 48),
    (49, 47),
    (31, 200),
    (333, 477),
    (100, 99),
    (200, 31),
]


def spec_of(fit: str, resample: str, size_px: int = 48) -> PreprocessSpec:
    resize_px = size_px * 9 // 8 if fit in CUTS else None
    return PreprocessSpec(size_px=size_px, fit=fit, resample=resample, resize_px=resize_px)


def chequered(height: int, width: int) -> np.ndarray:
    """Return (3, H, W, 3): noise, and black and white noise, where bicubic overshoots the most."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    images[1:] = np.where(images[1:] < 128, 0, 255)
    return images


def picture(seed: int, size: tuple[int, int]) -> bytes:
    """Return a PNG of soft noise with an edge."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    image = small.resize(size, Image.Resampling.BICUBIC)
    image.paste((255, 0, 0), (0, 0, size[0] // 2, size[1] // 3))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def session(proto: onnx.ModelProto) -> ort.InferenceSession:
    return ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])


def resizes(proto: onnx.ModelProto) -> list[dict[str, onnx.AttributeProto]]:
    """Return the attributes of every Resize by their names."""
    nodes = (node for node in proto.graph.node if node.op_type == "Resize")
    return [{a.name: a for a in node.attribute} for node in nodes]


@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize("fit", GEOMETRIES)
@pytest.mark.parametrize("size_px", [48, 97])
def test_images_of_any_size_come_out_as_pillow_scales_them(fit, resample, size_px):
    spec = spec_of(fit, resample, size_px)
    run = session(preprocess_graph(spec)).run
    for height, width in SIDES:
        images = chequered(height, width)
        (found,) = run(["pixels"], {"image": images})
        expected = np.stack([preprocess(Image.fromarray(image), spec) for image in images])
        assert found.dtype == np.uint8
        assert np.abs(found.astype(int) - expected).max() <= 2, (height, width)


@pytest.mark.parametrize("size_px", [32, 33])
def test_the_square_is_cut_where_pillow_cuts_it(size_px):
    # 0 to 7 pixels are left over, beside or above: halves are rounded to even.
    spec = PreprocessSpec(size_px=size_px, fit="resize_crop", resize_px=size_px)
    run = session(preprocess_graph(spec)).run
    for free in range(8):
        for height, width in ((size_px, size_px + free), (size_px + free, size_px)):
            images = chequered(height, width)
            (found,) = run(["pixels"], {"image": images})
            y, x = round((height - size_px) / 2), round((width - size_px) / 2)
            assert np.array_equal(found, images[:, y : y + size_px, x : x + size_px])


@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize("fit", GEOMETRIES)
def test_the_skew_is_measured_and_written_into_the_file(fit, resample):
    spec = spec_of(fit, resample, 40)
    contents = [picture(seed, (90 + seed, 61)) for seed in range(6)]
    pixels = np.stack([pixels_from_bytes(content, spec) for content in contents])
    reference = Reference(
        pixels=pixels,
        paths=("x",) * 6,
        labels=np.zeros(6, np.int64),
        logits=np.zeros((6, 2)),
        probs=np.zeros((6, 2)),
        bias=np.zeros(2),
    )
    proved = prove_preprocess(spec, contents, reference, max_pixel_diff=2)
    proto = onnx.load_from_string(proved.content)
    facts = {entry.key: json.loads(entry.value) for entry in proto.metadata_props}
    assert facts["skew"] == {
        "n": 6,
        "max_diff": proved.skew.max_diff,
        "differing": proved.skew.differing,
    }
    assert (facts["preprocess"]["fit"], facts["preprocess"]["resample"]) == (fit, resample)
    assert proved.skew.max_diff <= 2
    assert proved.skew.differing < 0.05
    other_fit = spec_of("squash" if fit != "squash" else "crop", resample, 40)
    other_kernel = spec_of(fit, BICUBIC if resample == BILINEAR else BILINEAR, 40)
    for other in (other_fit, other_kernel):
        with pytest.raises(
            ExportError, match=r"differs from Pillow by .* limit 2 .*max_pixel_diff"
        ):
            prove_preprocess(other, contents, reference, max_pixel_diff=2)


def test_without_antialiasing_the_pixels_are_wrong():
    spec = PreprocessSpec(size_px=40)
    proto = preprocess_graph(spec)
    contents = [picture(seed, (200, 150)) for seed in range(4)]
    pixels = np.stack([pixels_from_bytes(content, spec) for content in contents])
    assert measure_skew(proto, contents, pixels).max_diff <= 1
    (attributes,) = resizes(proto)
    assert (attributes["antialias"].i, attributes["exclude_outside"].i) == (1, 1)
    attributes["antialias"].i = attributes["exclude_outside"].i = 0
    assert measure_skew(proto, contents, pixels).max_diff > 20


def test_another_cubic_is_noticed():
    spec = spec_of("squash", BICUBIC, 40)
    proto = preprocess_graph(spec)
    contents = [picture(0, (200, 150))]
    pixels = pixels_from_bytes(contents[0], spec)[None]
    assert measure_skew(proto, contents, pixels).max_diff <= 1
    for attributes in resizes(proto):
        attributes["cubic_coeff_a"].f = -0.75  # what ONNX takes unless told
    assert measure_skew(proto, contents, pixels).max_diff > 2


def test_with_one_resize_the_passes_of_bicubic_are_in_the_wrong_order():
    # Higher than the square and narrower: Pillow scales the height first, ONNX Runtime the width.
    spec = spec_of("squash", BICUBIC)
    proto = preprocess_graph(spec)
    last = [n for n in proto.graph.node if n.op_type == "Resize"][-1]
    last.input[0] = "image"
    images = chequered(60, 40)
    (found,) = session(proto).run(["pixels"], {"image": images})
    expected = np.stack([preprocess(Image.fromarray(image), spec) for image in images])
    assert np.abs(found.astype(int) - expected).max() > 10


@pytest.mark.parametrize("change", [{"fit": "stretch"}, {"resample": "nearest"}])
def test_an_unknown_preprocessing_has_no_graph(change):
    known = r"it has squash, pad, crop, resize_crop, resize_squash, each with bilinear.* or bicubic"
    with pytest.raises(ExportError, match=rf"has no graph with .*; {known}"):
        preprocess_graph(PreprocessSpec(size_px=40, **change))


def test_every_fit_has_a_graph():
    assert set(GRAPHS) == set(GEOMETRIES)


@pytest.mark.parametrize("fit", CUTS)
def test_there_is_no_graph_that_cuts_out_more_than_there_is(fit):
    with pytest.raises(ArtifactError, match="resize_px 39"):
        preprocess_graph(PreprocessSpec(size_px=40, fit=fit, resize_px=39))
