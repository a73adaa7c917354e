"""Which outputs of a network are maps, where its blocks work with the channels last."""

import numpy as np
import pytest

from pipeline.insight.attribution import heat_maps
from pipeline.insight.inspection import inspecting, maps_of
from pipeline.insight.patches import stage_maps, stages
from pipeline.modeling.zoo import build_model

SHAPES = {
    "convnext_tiny": [(96, 16, 16), (192, 8, 8), (384, 4, 4), (768, 2, 2)],
    "swin_t": [(768, 2, 2)],  # the output of each stage but the last has its channels last
}
HEAT = {"convnext_tiny": (8, 8), "swin_t": (16, 16)}


@pytest.fixture(scope="module", params=SHAPES)
def arch(request):
    return request.param


@pytest.fixture(scope="module")
def model(arch):
    return build_model(arch, n_classes=3, seed=1)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


def test_a_stage_is_a_map_with_its_channels_first(arch, model):
    with inspecting(model):
        assert [m.shape for m in stage_maps(model, image_px=(64, 64))] == SHAPES[arch]
        assert all(m.shape[1] == m.shape[2] for m in maps_of(model, image_px=(64, 64)))


def test_the_stages_answer_and_the_heat_maps_are_as_square_as_the_images(arch, model, images):
    found = stages(model, images, channels_per_stage=1)
    assert [stage.shape for stage in found] == SHAPES[arch]
    heat = heat_maps(model, images, np.array([0, 2]))
    assert heat.shape == (2, *HEAT[arch])
