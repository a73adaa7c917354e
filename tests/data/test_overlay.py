"""Copies of a picture, and pictures that are none."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.data.overlay import show_the_same
from pipeline.sources.drawing import draw_animal


def encoded(image: Image.Image, quality: int = 60) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def cropped(image: Image.Image, left=0.0, top=0.0, right=0.0, bottom=0.0) -> Image.Image:
    w, h = image.size
    return image.crop(
        (round(w * left), round(h * top), round(w * (1 - right)), round(h * (1 - bottom)))
    )


CHANGES = {
    "encoded again": lambda image: encoded(image, 40),
    "smaller": lambda image: image.resize((round(image.width * 0.9), round(image.height * 0.9))),
    "much larger": lambda image: image.resize((image.width * 3, image.height * 3)),
    "stretched": lambda image: image.resize((image.width, round(image.height * 1.1))),
    "cropped left": lambda image: encoded(cropped(image, left=0.06)),
    "cropped around": lambda image: encoded(cropped(image, 0.02, 0.03, 0.01, 0.02)),
    "cropped to a corner": lambda image: encoded(cropped(image, top=0.08, right=0.08)),
}


@pytest.fixture(scope="module")
def drawings() -> list[Image.Image]:
    return [
        draw_animal(species, np.random.default_rng(seed))[0]
        for species in ("cat", "dog")
        for seed in range(8)
    ]


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_shows_the_same_whichever_comes_first(drawings, change):
    for image in drawings:
        copy = CHANGES[change](image)
        assert show_the_same(image, copy)
        assert show_the_same(copy, image)


def test_two_crops_of_one_picture_show_the_same(drawings):
    for image in drawings:
        assert show_the_same(cropped(image, left=0.04), cropped(image, right=0.04, top=0.02))


def test_an_image_shows_the_same_as_itself(drawings):
    assert show_the_same(drawings[0], drawings[0])


def test_a_mirrored_copy_shows_the_same_when_mirrored(drawings):
    for image in drawings:
        copy = encoded(ImageOps.mirror(image))
        assert show_the_same(image, copy, mirrored=True)
        assert not show_the_same(image, copy)


def test_different_pictures_do_not_show_the_same(drawings):
    pairs = [(a, b) for k, a in enumerate(drawings) for b in drawings[k + 1 :]]
    assert not any(show_the_same(a, b) for a, b in pairs)


def test_a_picture_in_other_colours_of_equal_brightness_is_another_one():
    red, green = Image.new("RGB", (80, 80), (200, 0, 0)), Image.new("RGB", (80, 80), (0, 102, 0))
    assert red.convert("L").getpixel((0, 0)) == green.convert("L").getpixel((0, 0)) == 60
    assert not show_the_same(red, green)


def test_empty_pictures_show_the_same_if_they_have_one_colour():
    assert show_the_same(Image.new("RGB", (90, 80), "white"), Image.new("RGB", (80, 90), "white"))
    assert not show_the_same(Image.new("RGB", (80, 80)), Image.new("RGB", (80, 80), "white"))
