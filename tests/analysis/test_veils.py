"""Veils over thumbnails: dark where the network did not look, and in the right place."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.analysis.overlay import veil
from pipeline.analysis.thumbnails import Thumbnail

WIDE = Thumbnail(number=3, width=160, height=80, data="")


def alpha(data: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.mode == "LA"
    return np.asarray(image)[..., 1]


def test_the_veil_is_light_where_the_network_looked_and_dark_elsewhere() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = 1
    drawn = alpha(veil(heat, over=WIDE, fit="squash").data)
    assert drawn[1, 1] < 20
    assert drawn[-2, -2] > 180
    assert drawn[1, -2] > 180


@pytest.mark.parametrize(
    ("fit", "place"),
    [
        ("squash", (0, 0, 160, 80)),  # the whole image, its sides scaled apart
        ("crop", (40, 0, 80, 80)),  # the square in its middle
        ("pad", (0, -40, 160, 160)),  # the square around it
    ],
)
def test_the_veil_lies_where_the_network_saw_the_image(
    fit: str, place: tuple[float, float, float, float]
) -> None:
    found = veil(np.ones((2, 2), np.float32), over=WIDE, fit=fit)
    assert (found.x, found.y, found.width, found.height) == place
    assert found.number == 3
    assert alpha(found.data).max() == 0
