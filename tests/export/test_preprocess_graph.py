"""preprocess.onnx against Pillow, which it has to match, and against a wrong geometry."""

import io
import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from PIL import Image

from pipeline.core.errors import ExportError
from pipeline.export.parity import Reference
from pipeline.export.preprocess_graph import (
    RESIZE,
    measure_skew,
    preprocess_graph,
    prove_preprocess,
)
from pipeline.imaging.preprocess import pixels_from_bytes, preprocess
from pipeline.imaging.spec import PreprocessSpec

FITS = ("squash", "crop", "pad")
SIDES = [(8, 8), (8, 160), (160, 8), (48, 48), (49, 47), (31, 200), (333, 477), (100, 99)]


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


@pytest.mark.parametrize("fit", FITS)
def test_images_of_any_size_come_out_as_pillow_scales_them(fit):
    spec = PreprocessSpec(size_px=48, fit=fit)
    run = session(preprocess_graph(spec)).run
    rng = np.random.default_rng(1)
    for height, width in SIDES:
        images = rng.integers(0, 256, (3, height, width, 3), dtype=np.uint8)
        (found,) = run(["pixels"], {"image": images})
        expected = np.stack([preprocess(Image.fromarray(image), spec) for image in images])
        assert found.dtype == np.uint8
        assert np.abs(found.astype(int) - expected).max() <= 2, (height, width)


@pytest.mark.parametrize("fit", FITS)
def test_the_skew_is_measured_and_written_into_the_file(fit):
    spec = PreprocessSpec(size_px=40, fit=fit)
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
    assert facts["preprocess"]["fit"] == fit
    assert proved.skew.max_diff <= 2
    assert proved.skew.differing < 0.05
    other = PreprocessSpec(size_px=40, fit="squash" if fit != "squash" else "crop")
    with pytest.raises(ExportError, match=r"differs from Pillow by .* limit 2 .*max_pixel_diff"):
        prove_preprocess(other, contents, reference, max_pixel_diff=2)


def test_without_antialiasing_the_pixels_are_wrong():
    spec = PreprocessSpec(size_px=40)
    proto = preprocess_graph(spec)
    contents = [picture(seed, (200, 150)) for seed in range(4)]
    pixels = np.stack([pixels_from_bytes(content, spec) for content in contents])
    assert measure_skew(proto, contents, pixels).max_diff <= 1
    resize = next(n for n in proto.graph.node if n.op_type == "Resize")
    attributes = {a.name: a for a in resize.attribute}
    assert (attributes["antialias"].i, attributes["exclude_outside"].i) == (1, 1)
    attributes["antialias"].i = attributes["exclude_outside"].i = 0
    assert measure_skew(proto, contents, pixels).max_diff > 20
    assert "antialias = 1" in RESIZE


def test_an_unknown_fit_has_no_graph():
    with pytest.raises(ExportError, match="'stretch' has no graph; it has squash, pad, crop"):
        preprocess_graph(PreprocessSpec(size_px=40, fit="stretch"))
