"""Batched augmentation against torchvision's functions, image by image, and by hand."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from pipeline.imaging.preprocess import PAD_COLOUR
from pipeline.modeling.augment import Augmentation, augment, erase, mix, recolour

PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 9, 7, 3), dtype=np.uint8))
OFF = Augmentation(crop_min_area=1, flip=False)


@pytest.mark.parametrize(
    ("row", "function"),
    [
        (0, reference.adjust_brightness),
        (1, reference.adjust_contrast),
        (2, reference.adjust_saturation),
    ],
)
def test_each_change_of_colour_is_torchvisions(row, function):
    factors = torch.ones(3, 6)
    factors[row] = torch.tensor([0.0, 0.4, 0.9, 1.0, 1.3, 1.9])
    found = recolour(PIXELS, factors).float()
    for image, factor, ours in zip(PIXELS, factors[row], found, strict=True):
        theirs = function(image.permute(2, 0, 1).float() / 255, float(factor)) * 255
        assert (theirs.permute(1, 2, 0) - ours).abs().max() <= 0.51  # ours is rounded


def test_colour_left_alone_is_unchanged():
    assert torch.equal(recolour(PIXELS, torch.ones(3, 6)), PIXELS)


def test_a_rectangle_of_the_chosen_share_of_images_is_painted_over():
    pixels = torch.zeros((500, 40, 40, 3), dtype=torch.uint8)
    found = erase(pixels, probability=0.3, rng=np.random.default_rng(0))
    painted = (found == torch.tensor(PAD_COLOUR, dtype=torch.uint8)).all(3)
    assert ((found == 0).all(3) | painted).all()
    chosen = painted.flatten(1).any(1)
    assert 120 < chosen.sum() < 180  # 150 expected, standard deviation 10
    areas = painted[chosen].flatten(1).float().mean(1)
    # Zhong et al. 2020: 2 % to 33 %; sides are rounded to pixels.
    assert 0.015 < areas.min() < 0.06
    assert 0.28 < areas.max() < 0.36
    for mask in painted[chosen]:  # a rectangle: rows and columns that are painted, and no other
        assert torch.equal(mask, mask.any(1)[:, None] & mask.any(0)[None, :])


def test_mixup_mixes_pixels_and_targets_in_the_same_share():
    # Image and label k are both k, so that the mean colour tells the expected label.
    labels = torch.arange(4)
    pixels = (60 * labels).to(torch.uint8)[:, None, None, None].expand(4, 5, 5, 3)
    augmentation, mixed = Augmentation(crop_min_area=1, flip=False, mixup=1.0), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found, targets = mix(pixels, labels, augmentation, n_classes=4, rng=rng)
        assert targets.sum(1).tolist() == pytest.approx([1.0] * 4)
        expected = 60 * (targets * labels).sum(1)
        assert (found.float().mean((1, 2, 3)) - expected).abs().max() <= 0.5
        mixed += int(((targets > 0.01) & (targets < 0.99)).any())
    assert mixed > 10  # now and then a permutation leaves all in place


def test_cutmix_pastes_a_box_and_counts_its_area():
    labels = torch.arange(4)
    pixels = (60 * labels).to(torch.uint8)[:, None, None, None].expand(4, 20, 20, 3)
    for seed in range(20):
        found, targets = mix(
            pixels,
            labels,
            Augmentation(crop_min_area=1, flip=False, cutmix=1.0),
            n_classes=4,
            rng=np.random.default_rng(seed),
        )
        for label in labels:
            shares = (found == 60 * label).all(3).flatten(1).float().mean(1)
            assert torch.allclose(shares, targets[:, label], atol=1e-6)


def test_the_share_of_mixup_follows_beta():
    # Beta(0.4, 0.4) has mean 1/2 and variance 1/4 / (2 * 0.4 + 1) = 0.1389.
    pixels, labels = torch.zeros((2, 1, 1, 3), dtype=torch.uint8), torch.tensor([0, 1])
    alpha = Augmentation(crop_min_area=1, flip=False, mixup=0.4)
    shares = []
    for seed in range(3000):
        rng = np.random.default_rng(seed)
        targets = mix(pixels, labels, alpha, n_classes=2, rng=rng)[1]
        if targets[0, 0] < 1:  # else the image was mixed with itself
            shares.append(float(targets[0, 0]))
    assert 1300 < len(shares) < 1700
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert np.var(shares) == pytest.approx(0.1389, abs=0.01)


@pytest.mark.parametrize(
    "changes", [{"jitter": 0.4}, {"erasing": 0.5}, {"mixup": 0.4, "cutmix": 1.0}]
)
def test_the_same_state_of_the_generator_gives_the_same_images(changes):
    augmentation = Augmentation(crop_min_area=0.5, flip=True, **changes)

    def once(seed):
        rng = np.random.default_rng(seed)
        images = augment(PIXELS, augmentation, size_px=8, rng=rng)
        labels = torch.arange(6) % 2
        return (
            mix(images, labels, augmentation, n_classes=2, rng=rng)
            if "mixup" in changes
            else (
                images,
                labels,
            )
        )

    assert all(torch.equal(a, b) for a, b in zip(once(1), once(1), strict=True))
    assert not torch.equal(once(1)[0], once(2)[0])
    assert once(1)[0].dtype == torch.uint8
    assert once(1)[0].shape == (6, 8, 8, 3)


def test_what_is_switched_on_leaves_crops_and_mirroring_as_they_were():
    rng = np.random.default_rng
    plain = augment(PIXELS, Augmentation(crop_min_area=0.4, flip=True), size_px=8, rng=rng(3))
    erased = augment(
        PIXELS, Augmentation(crop_min_area=0.4, flip=True, erasing=1.0), size_px=8, rng=rng(3)
    )
    changed = (plain != erased).any(3)
    painted = (erased == torch.tensor(PAD_COLOUR, dtype=torch.uint8)).all(3)
    assert (painted | ~changed).all()
