"""Pictures of kernels, against pixels worked out by hand."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.analysis.kernels import kernel_panels, rgb_tiles, strongest_tiles
from pipeline.modeling.zoo import build_model


def test_zero_is_grey_and_the_largest_magnitude_is_black_or_white() -> None:
    kernel = np.zeros((1, 3, 1, 2), dtype=np.float32)
    kernel[0, :, 0, 1] = (-2, 0, 1)
    assert rgb_tiles(kernel)[0].tolist() == [[[128, 128, 128], [0, 128, 191]]]


def test_a_kernel_of_zeros_is_grey() -> None:
    assert (rgb_tiles(np.zeros((1, 3, 2, 2), dtype=np.float32))[0] == 128).all()


def test_the_input_channel_of_largest_norm_is_drawn() -> None:
    kernels = np.zeros((1, 3, 1, 2), dtype=np.float32)
    kernels[0, 0] = (1, 1)
    kernels[0, 2] = (3, -3)
    assert strongest_tiles(kernels)[0].tolist() == [[255, 0]]


@pytest.mark.parametrize(
    ("arch", "first", "following"),
    [("compact", (24, (2, 2)), (32, (3, 3))), ("resnet18", (64, (7, 7)), (32, (3, 3)))],
)
def test_the_first_two_convolutions_are_found(
    arch: str, first: tuple[int, tuple[int, int]], following: tuple[int, tuple[int, int]]
) -> None:
    weights = build_model(arch, n_classes=2).state_dict()
    panels = kernel_panels({name: w.numpy() for name, w in weights.items()})
    assert [(len(panel.tiles), _size(panel.tiles[0])) for panel in panels] == [first, following]


def test_a_network_without_convolutions_has_no_panel() -> None:
    assert kernel_panels({"fc.weight": np.zeros((2, 3), dtype=np.float32)}) == ()


def _size(tile: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(tile))).size
