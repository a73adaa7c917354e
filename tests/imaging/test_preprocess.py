"""From image to input: the geometry and the spec that describes it."""

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import ArtifactError
from pipeline.imaging.preprocess import preprocess
from pipeline.imaging.spec import ModelSpec, PreprocessSpec, spec_from_json


def test_a_square_of_the_size_asked_for_whatever_the_aspect():
    pixels = preprocess(Image.new("RGB", (300, 70), (10, 20, 30)), PreprocessSpec(size_px=32))
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels[5, 5], [10, 20, 30])


def test_scaling_down_averages_instead_of_picking():
    # Black and white columns in turn: an aliased resize gives black or white, an average grey.
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = preprocess(Image.fromarray(stripes), PreprocessSpec(size_px=16))
    assert 120 <= pixels[4:12, 4:12].min() <= pixels[4:12, 4:12].max() <= 135


def test_a_geometry_of_another_version_is_refused():
    with pytest.raises(ArtifactError, match="unknown to this version"):
        preprocess(Image.new("RGB", (9, 9)), PreprocessSpec(size_px=8, fit="crop"))


def test_a_spec_survives_its_json():
    spec = ModelSpec(arch="compact", classes=("cat", "d'ög"), preprocess=PreprocessSpec(size_px=80))
    assert spec_from_json(spec.to_json(), where="m") == spec


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"arch": 1, "classes": [], "preprocess": {"x": 1}}']
)
def test_a_foreign_spec_is_refused(text):
    with pytest.raises(ArtifactError, match=r"^m: not a model of this pipeline"):
        spec_from_json(text, where="m")
