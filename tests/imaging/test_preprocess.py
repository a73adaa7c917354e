"""From image to input: the geometry and the spec that describes it."""

from typing import get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import ArtifactError
from pipeline.core.params import PackParams
from pipeline.imaging.preprocess import FITS, PAD_COLOUR, padded_side, preprocess
from pipeline.imaging.spec import ModelSpec, PreprocessSpec, spec_from_json


def columns(*values: int, height: int) -> Image.Image:
    """An image whose columns have these grey values."""
    row = np.array(values, np.uint8)[None, :, None]
    return Image.fromarray(np.ascontiguousarray(row.repeat(height, 0).repeat(3, 2)))


def fitted(image: Image.Image, fit: str, size_px: int) -> np.ndarray:
    return preprocess(image, PreprocessSpec(size_px=size_px, fit=fit))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(300, 70), (70, 300), (201, 199), (20, 1), (5, 5), (2000, 100)])
def test_a_square_of_the_size_asked_for_whatever_the_aspect(fit, size):
    pixels = fitted(Image.new("RGB", size, (10, 20, 30)), fit, 33)
    assert pixels.shape == (33, 33, 3)
    assert pixels.dtype == np.uint8
    assert pixels[16, 16].tolist() == [10, 20, 30]


def test_squash_keeps_both_ends_of_the_image():
    pixels = fitted(columns(*[10] * 30, *[90] * 30, *[250] * 30, height=30), "squash", 30)
    assert pixels[0, [4, 14, 24], 0].tolist() == [10, 90, 250]


def test_crop_keeps_the_middle_and_filters_with_what_lies_beside_it():
    pixels = fitted(columns(*[255] * 30, *[0] * 30, *[255] * 30, height=30), "crop", 15)
    # Half size: the filter spans 4 pixels with weights 1 3 3 1, of which the first is outside.
    assert pixels[7, :, 0].tolist() == [32, *[0] * 13, 32]  # 255 / 8 = 31.9


def test_a_crop_that_begins_in_the_middle_of_a_pixel_averages_two():
    # 5 wide, 4 high: columns 0.5 to 4.5 are kept, at their own size.
    assert fitted(columns(0, 10, 20, 30, 40, height=4), "crop", 4)[2, :, 0].tolist() == [
        *(5, 15, 25, 35)
    ]


def test_a_small_image_is_cropped_and_scaled_up():
    # Columns 1 and 2 of 4 become 4: their centres lie at 1.25, 1.75, 2.25 and 2.75.
    found = fitted(columns(0, 100, 200, 40, height=2), "crop", 4)[1, :, 0]
    # 0/4 + 3*100/4, 3*100/4 + 200/4, 100/4 + 3*200/4, 3*200/4 + 40/4
    assert found.tolist() == [75, 125, 175, 160]


def test_a_mirrored_image_is_cropped_to_mirrored_pixels():
    noise = np.random.default_rng(0).integers(0, 256, (99, 300, 3), dtype=np.uint8)
    found = fitted(Image.fromarray(noise), "crop", 50)
    assert np.array_equal(fitted(Image.fromarray(noise[:, ::-1]), "crop", 50), found[:, ::-1])


@pytest.mark.parametrize(
    ("short_px", "long_px", "size_px", "expected"),
    [
        (100, 300, 48, 16),
        (375, 500, 64, 48),
        (1, 2, 3, 2),  # 1.5 is rounded up
        (3, 8, 4, 2),  # 1.5 again: never to even
        (5, 8, 4, 3),  # 2.5
        (100, 301, 48, 16),  # 15.9
        (100, 311, 48, 15),  # 15.4
        (1, 1000, 16, 1),  # 0.016: a line is left
        (10, 20, 40, 20),  # scaled up
        (7, 7, 5, 5),
    ],
)
def test_the_padded_side_is_rounded_half_up(short_px, long_px, size_px, expected):
    assert padded_side(short_px, long_px, size_px) == expected


@pytest.mark.parametrize(
    ("size", "size_px", "first", "after"),
    [
        ((300, 100), 48, 16, 32),
        ((300, 100), 32, 10, 21),  # 11 lines: 10 bands above, 11 below
        ((10, 5), 40, 10, 30),  # scaled up
        ((2000, 100), 16, 7, 8),  # 0.8, a single line
        ((64, 64), 32, 0, 32),
    ],
)
def test_pad_centres_the_whole_image_between_bands_of_the_neutral_colour(
    size, size_px, first, after
):
    for image_size in (size, size[::-1]):
        pixels = fitted(Image.new("RGB", image_size, (1, 2, 3)), "pad", size_px)
        pixels = pixels if image_size == size else pixels.transpose(1, 0, 2)
        assert (pixels[first:after] == (1, 2, 3)).all()
        assert (pixels[:first] == PAD_COLOUR).all()
        assert (pixels[after:] == PAD_COLOUR).all()


def test_padding_does_not_bleed_into_the_image():
    white = fitted(Image.new("RGB", (90, 30), "white"), "pad", 30)
    assert np.unique(white[10:20]).tolist() == [255]


def test_a_square_image_looks_the_same_under_every_fit():
    noise = np.random.default_rng(0).integers(0, 256, (45, 45, 3), dtype=np.uint8)
    squash, crop, pad = (fitted(Image.fromarray(noise), fit, 32) for fit in FITS)
    assert np.array_equal(squash, crop)
    assert np.array_equal(squash, pad)


def test_params_allow_just_the_fits_that_exist():
    assert get_args(get_type_hints(PackParams)["fit"]) == tuple(FITS)


def test_scaling_down_averages_instead_of_picking():
    # Black and white columns in turn: an aliased resize gives black or white, an average grey.
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = preprocess(Image.fromarray(stripes), PreprocessSpec(size_px=16))
    assert 120 <= pixels[4:12, 4:12].min() <= pixels[4:12, 4:12].max() <= 135


def test_a_geometry_of_another_version_is_refused():
    with pytest.raises(ArtifactError, match="unknown to this version"):
        preprocess(Image.new("RGB", (9, 9)), PreprocessSpec(size_px=8, fit="stretch"))


def test_a_spec_survives_its_json():
    preprocess = PreprocessSpec(size_px=80, fit="pad")
    spec = ModelSpec(arch="compact", classes=("cat", "d'ög"), preprocess=preprocess)
    assert spec_from_json(spec.to_json(), where="m") == spec


def test_a_model_from_before_there_was_a_choice_squashes():
    text = '{"arch": "compact", "classes": ["a", "b"], "preprocess": {"size_px": 80}}'
    spec = spec_from_json(text, where="m")
    assert (spec.preprocess.size_px, spec.preprocess.fit) == (80, "squash")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"arch": 1, "classes": [], "preprocess": {"x": 1}}']
)
def test_a_foreign_spec_is_refused(text):
    with pytest.raises(ArtifactError, match=r"^m: not a model of this pipeline"):
        spec_from_json(text, where="m")
