"""Order and augmentation are functions of (seed, epoch, step)."""

import numpy as np
import torch

from pipeline.modeling.batches import (
    Augmentation,
    augment,
    dropout_seed,
    epoch_order,
    images_per_epoch,
    n_batches,
    train_batches,
)
from pipeline.packing.packed import PackedSplit

PLAIN = Augmentation(crop_min_area=1, flip=False)
FULL = Augmentation(crop_min_area=0.4, flip=True)


def numbered(n: int, size_px: int = 20) -> PackedSplit:
    """Images whose every pixel is their own index."""
    pixels = np.arange(n, dtype=np.uint8)[:, None, None, None].repeat(size_px, 1).repeat(size_px, 2)
    return PackedSplit(pixels.repeat(3, 3), np.arange(n), tuple(map(str, range(n))))


def epoch_of(split, *, seed=0, epoch=1, augmentation=PLAIN, size_px=20):
    return list(
        train_batches(
            split, batch_size=8, size_px=size_px, augmentation=augmentation, seed=seed, epoch=epoch
        )
    )


def test_an_epoch_shows_every_image_once_with_its_own_label():
    batches = epoch_of(numbered(40))
    pixels = torch.cat([b[0] for b in batches])
    labels = torch.cat([b[1] for b in batches])
    assert sorted(labels.tolist()) == list(range(40))
    assert torch.equal(pixels[:, 0, 0, 0].long(), labels)


def test_a_last_partial_batch_is_left_out_unless_it_is_the_only_one():
    assert [n_batches(n, 8) for n in (3, 8, 15, 16)] == [1, 1, 1, 2]
    assert [images_per_epoch(n, 8) for n in (3, 8, 15, 16)] == [3, 8, 8, 16]
    assert len(epoch_of(numbered(3))[0][1]) == 3


def test_the_same_seed_and_epoch_give_the_same_batches_others_do_not():
    split = numbered(40)
    first, again = (epoch_of(split, augmentation=FULL) for _ in range(2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    other_epoch = epoch_of(split, epoch=2)
    other_seed = epoch_of(split, seed=1)
    assert not torch.equal(first[0][1], other_epoch[0][1])
    assert not torch.equal(first[0][1], other_seed[0][1])


def test_torch_and_numpy_global_randomness_is_not_touched():
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    epoch_of(numbered(40), augmentation=FULL)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_without_crop_flip_or_scaling_pixels_are_unchanged():
    pixels = torch.randint(0, 256, (5, 20, 20, 3), dtype=torch.uint8)
    assert torch.equal(augment(pixels, PLAIN, size_px=20, rng=np.random.default_rng(0)), pixels)


def sides(split, *, epoch, seed=0):
    """Return by its label whether each image comes mirrored; every label is one image's."""
    found = {}
    flip = Augmentation(crop_min_area=1, flip=True)
    for pixels, labels in train_batches(
        split, batch_size=8, size_px=8, augmentation=flip, seed=seed, epoch=epoch
    ):
        for image, label in zip(pixels, labels.tolist(), strict=True):
            original = torch.from_numpy(split.pixels[label])
            mirrored = torch.equal(image, original.flip(1))
            assert mirrored or torch.equal(image, original)
            found[label] = mirrored
    return found


def test_half_of_the_images_are_mirrored_and_in_the_next_epoch_the_others():
    split = PackedSplit(
        pixels=np.random.default_rng(0).integers(0, 256, (400, 8, 8, 3), dtype=np.uint8),
        labels=np.arange(400),
        paths=tuple(map(str, range(400))),
    )
    first, second, third = (sides(split, epoch=epoch) for epoch in (1, 2, 3))
    assert len(first) == len(second) == 400
    assert 150 < sum(first.values()) < 250  # 200 expected, standard deviation 10
    assert all(first[k] != second[k] for k in first)
    assert third == first
    other = sides(split, epoch=1, seed=1)
    assert 150 < sum(first[k] != other[k] for k in first) < 250


def test_crops_keep_at_least_the_area_asked_for():
    # On a horizontal ramp the range of values in a crop tells its width; likewise its height.
    ramp = torch.linspace(0, 255, 100).to(torch.uint8)
    images = torch.stack([ramp.expand(100, 100), ramp.expand(100, 100).T, ramp.expand(100, 100)], 2)
    for seed in range(30):
        crop = Augmentation(crop_min_area=0.5, flip=False)
        found = augment(images[None], crop, size_px=100, rng=np.random.default_rng(seed)).float()
        width = (found[..., 0].max() - found[..., 0].min()) / 255
        height = (found[..., 1].max() - found[..., 1].min()) / 255
        assert width * height > 0.5 - 0.06  # resizing softens the ends of a ramp
        assert 3 / 4 - 0.05 < width / height < 4 / 3 + 0.05


def test_output_has_the_size_asked_for_in_uint8():
    pixels = torch.zeros((9, 20, 20, 3), dtype=torch.uint8)
    found = augment(pixels, FULL, size_px=16, rng=np.random.default_rng(0))
    assert found.shape == (9, 16, 16, 3)
    assert found.dtype == torch.uint8


def test_a_later_start_gives_the_rest_of_the_same_epoch():
    split = numbered(40)
    whole = epoch_of(split, augmentation=FULL)
    rest = list(
        train_batches(split, batch_size=8, size_px=20, augmentation=FULL, seed=0, epoch=1, start=3)
    )
    assert len(rest) == 2
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[3:], rest, strict=True))


def test_order_augmentation_and_dropout_draw_from_streams_of_their_own():
    # NumPy pads a seed with zeros: (seed, epoch) and (seed, epoch, 0) would be one stream.
    first = np.random.default_rng([5, 3, 0]).permutation(40)
    assert not np.array_equal(epoch_order(np.zeros(40), seed=5, epoch=3), first)
    seeds = {dropout_seed(s, e, k) for s in range(3) for e in range(3) for k in range(3)}
    assert len(seeds) == 27
