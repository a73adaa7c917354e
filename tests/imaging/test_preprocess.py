"""From image to input: the geometry and the spec that describes it."""

from typing import get_args, get_type_hints

import numpy as np
import pytest
import timm
import torchvision.transforms as v1
from PIL import Image
from torchvision.models import EfficientNet_V2_L_Weights
from torchvision.transforms import InterpolationMode, v2

from pipeline.core.errors import ArtifactError
from pipeline.core.params import PackParams
from pipeline.imaging.preprocess import (
    CUTS,
    FITS,
    GEOMETRIES,
    PAD_COLOUR,
    Pixels,
    padded_side,
    preprocess,
)
from pipeline.imaging.spec import BICUBIC, BILINEAR, ModelSpec, PreprocessSpec, spec_from_json

MODES = {BILINEAR: InterpolationMode.BILINEAR, BICUBIC: InterpolationMode.BICUBIC}
SIZES = [(300, 201), (201, 300), (64, 64), (9, 5), (5, 9), (33, 34), (640, 77), (77, 640), (8, 8)]
"""Width and height."""


def columns(*values: int, height: int) -> Image.Image:
    """An image whose columns have these grey values."""
    row = np.array(values, np.uint8)[None, :, None]
    return Image.fromarray(np.ascontiguousarray(row.repeat(height, 0).repeat(3, 2)))


def fitted(image: Image.Image, fit: str, size_px: int) -> np.ndarray:
    return preprocess(image, PreprocessSpec(size_px=size_px, fit=fit))


def noise(size: tuple[int, int], *, seed: int = 0) -> Image.Image:
    """Random pixels, a third of them black or white: bicubic overshoots there."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(-128, 384, (size[1], size[0], 3))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def normalised(pixels: Pixels, spec: PreprocessSpec) -> np.ndarray:
    """Return (3, S, S), as the network sees them."""
    return ((pixels / 255 - spec.mean) / spec.std).transpose(2, 0, 1)


@pytest.mark.parametrize("resample", MODES)
@pytest.mark.parametrize("fit", GEOMETRIES)
@pytest.mark.parametrize("size", [(300, 70), (70, 300), (201, 199), (20, 1), (5, 5), (2000, 100)])
def test_a_square_of_the_size_asked_for_whatever_the_aspect(fit, size, resample):
    resize_px = 38 if fit in CUTS else None
    spec = PreprocessSpec(size_px=33, fit=fit, resample=resample, resize_px=resize_px)
    pixels = preprocess(Image.new("RGB", size, (10, 20, 30)), spec)
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
    fits, null = get_args(get_type_hints(PackParams)["fit"])
    assert (get_args(fits), null) == (tuple(FITS), type(None))


def test_scaling_down_averages_instead_of_picking():
    # Black and white columns in turn: an aliased resize gives black or white, an average grey.
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = preprocess(Image.fromarray(stripes), PreprocessSpec(size_px=16))
    assert 120 <= pixels[4:12, 4:12].min() <= pixels[4:12, 4:12].max() <= 135


def test_bicubic_sharpens_an_edge_and_is_cut_at_black():
    step = columns(*[0] * 4, *[128] * 4, height=8)
    found = preprocess(step, PreprocessSpec(size_px=16, resample=BICUBIC))[8, :, 0]
    # Twice the size: the cubic of a = -0.5 weighs pixels 0.25, 0.75, 1.25 and 1.75 away by
    # 111/128, 29/128, -9/128 and -3/128. Beside the edge: -3 and -9 (cut), 29 - 3, 111 - 9, ...
    assert found.tolist() == [*[0] * 7, 26, 102, 137, 131, *[128] * 5]


@pytest.mark.parametrize("fit", FITS)
def test_every_fit_scales_by_the_filter_of_the_spec(fit):
    image = noise((64, 64))
    for resample, mode in ((BILINEAR, Image.Resampling.BILINEAR), (BICUBIC, 3)):
        found = preprocess(image, PreprocessSpec(size_px=40, fit=fit, resample=resample))
        assert np.array_equal(found, np.asarray(image.resize((40, 40), mode)))


@pytest.mark.parametrize("resample", MODES)
@pytest.mark.parametrize(("size_px", "resize_px"), [(32, 32), (32, 37), (33, 38), (224, 256)])
def test_resize_crop_is_bit_for_bit_what_torchvision_does(size_px, resize_px, resample):
    spec = PreprocessSpec(
        size_px=size_px, fit="resize_crop", resample=resample, resize_px=resize_px
    )
    for seed, size in enumerate(SIZES):
        image = noise(size, seed=seed)
        found = preprocess(image, spec)
        for transforms in (v1, v2):
            resize = transforms.Resize(resize_px, interpolation=MODES[resample])
            expected = transforms.CenterCrop(size_px)(resize(image))
            assert np.array_equal(found, np.asarray(expected)), (size, transforms.__name__)


def test_what_is_cut_off_is_rounded_half_to_even():
    # 40 to 47 columns, 32 kept: 4, 4.5, 5, 5.5, ... are cut off at the left.
    for width, left in zip(range(40, 48), (4, 4, 5, 6, 6, 6, 7, 8), strict=True):
        spec = PreprocessSpec(size_px=32, fit="resize_crop", resize_px=32)
        found = preprocess(columns(*range(width), height=32), spec)
        assert found[0, 0, 0] == left


def test_the_weights_of_torchvision_see_what_they_were_measured_with():
    transforms = EfficientNet_V2_L_Weights.IMAGENET1K_V1.transforms()
    half = (0.5, 0.5, 0.5)
    spec = PreprocessSpec(
        size_px=480, fit="resize_crop", resample=BICUBIC, resize_px=480, mean=half, std=half
    )
    for seed, size in enumerate([(500, 375), (375, 501), (481, 480), (60, 90)]):
        image = noise(size, seed=seed)
        found = normalised(preprocess(image, spec), spec)
        np.testing.assert_allclose(found, transforms(image).numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        ("vit_base_patch16_224.augreg2_in21k_ft_in1k", "resize_crop"),  # 0.5, bicubic, 0.9
        ("efficientnet_b0.ra_in1k", "resize_crop"),  # ImageNet's mean, bicubic, 0.875
        ("tf_efficientnet_lite0.in1k", "resize_crop"),
        ("tf_efficientnetv2_b3.in21k_ft_in1k", "resize_squash"),  # 0.9
    ],
)
def test_the_weights_of_timm_see_what_they_were_measured_with(name, fit):
    config = timm.data.resolve_data_config(
        pretrained_cfg=timm.models.get_pretrained_cfg(name).to_dict()
    )
    size_px = config["input_size"][1]
    spec = PreprocessSpec(
        size_px=size_px,
        fit=fit,
        resample={"bilinear": BILINEAR, "bicubic": BICUBIC}[config["interpolation"]],
        resize_px=int(size_px / config["crop_pct"]),
        mean=config["mean"],
        std=config["std"],
    )
    raw = timm.data.create_transform(**config, is_training=False, normalize=False)
    whole = timm.data.create_transform(**config, is_training=False)
    for seed, size in enumerate(SIZES):
        image = noise(size, seed=seed)
        found = preprocess(image, spec)
        assert np.array_equal(found.transpose(2, 0, 1), raw(image).numpy()), size
        expected = whole(image).numpy()
        np.testing.assert_allclose(normalised(found, spec), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("change", [{"fit": "stretch"}, {"resample": "nearest"}])
def test_a_geometry_of_another_version_is_refused(change):
    with pytest.raises(ArtifactError, match="unknown to this version"):
        preprocess(Image.new("RGB", (9, 9)), PreprocessSpec(size_px=8, **change))


@pytest.mark.parametrize("fit", CUTS)
@pytest.mark.parametrize("resize_px", [None, 31])
def test_a_square_larger_than_what_it_is_cut_from_is_refused(fit, resize_px):
    spec = PreprocessSpec(size_px=32, fit=fit, resize_px=resize_px)
    with pytest.raises(ArtifactError, match=rf"'{fit}' with resize_px {resize_px}: .* 32 pixels"):
        preprocess(Image.new("RGB", (90, 90)), spec)


def test_a_spec_survives_its_json():
    preprocess = PreprocessSpec(size_px=80, fit="resize_crop", resample=BICUBIC, resize_px=91)
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
