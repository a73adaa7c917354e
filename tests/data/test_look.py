"""What near duplicates are found by."""

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from pipeline.data.look import look_at
from pipeline.sources.drawing import draw_animal


@pytest.fixture(scope="module")
def drawings() -> list[Image.Image]:
    return [draw_animal("cat", np.random.default_rng(seed))[0] for seed in range(12)]


def small(image: Image.Image) -> Image.Image:
    return image.convert("L").resize((32, 32), Image.Resampling.BOX)


def test_the_hash_is_that_of_the_library_imagehash(drawings):
    for image in drawings:
        assert f"{look_at(image).phash:016x}" == str(imagehash.phash(small(image)))


def test_the_mirrored_hash_is_that_of_the_mirrored_image(drawings):
    for image in drawings:
        expected = imagehash.phash(ImageOps.mirror(small(image)))
        assert f"{look_at(image).mirrored:016x}" == str(expected)


def test_the_thumbnail_is_the_brightness_of_16_by_16_parts():
    halves = Image.new("RGB", (64, 48), "black")
    halves.paste((255, 255, 255), (32, 0, 64, 48))
    thumbnail = np.frombuffer(look_at(halves).thumbnail, np.uint8).reshape(16, 16)
    assert (thumbnail[:, :8] == 0).all()
    assert (thumbnail[:, 8:] == 255).all()
    assert look_at(halves).brightness == 127.5


def test_brightness_is_luma():
    assert look_at(Image.new("RGB", (20, 20), (255, 0, 0))).brightness == 76.0  # 0.299 x 255


def test_blur_lowers_the_sharpness(drawings):
    for image in drawings:
        blurred = image.filter(ImageFilter.GaussianBlur(2))
        assert look_at(blurred).sharpness < 0.7 * look_at(image).sharpness


def test_sharpness_of_stripes_is_worked_out_by_hand():
    # Columns 0 and 100 in turn: every second difference is +-200 levels.
    stripes = np.tile(np.array([0, 100], np.uint8), (30, 20))[:, :, None].repeat(3, 2)
    assert look_at(Image.fromarray(stripes)).sharpness == 200.0
    assert look_at(Image.new("RGB", (20, 20), "gray")).sharpness == 0.0
