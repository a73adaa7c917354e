"""Drawn images: the same every time, with the faults that were planted, not learnable by pixel."""

import hashlib
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression

from pipeline.core.errors import DataError, ImageError
from pipeline.imaging.decode import decode
from pipeline.sources.drawing import SPECIES, Species, draw_animal
from pipeline.sources.synthetic import (
    BROKEN,
    MIN_IMAGES_FOR_PROCESSES,
    NEAR,
    Change,
    Picture,
    Planted,
    plan,
    render,
    synthetic_images,
)

pytestmark = pytest.mark.slow

N_IMAGES = 600
Files = list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def drawn() -> tuple[Files, Planted]:
    return synthetic_images(N_IMAGES, seed=7, workers=2)


def sha256(files: Files) -> str:
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(name.encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()


def thumbnail(content: bytes, side_px: int) -> NDArray[np.float64]:
    small = decode(content).resize((side_px, side_px), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.float64) / 255


def test_classes_are_balanced_and_names_are_unique_and_sorted(
    drawn: tuple[Files, Planted],
) -> None:
    names = [name for name, _ in drawn[0]]
    assert len(names) == len(set(names)) == N_IMAGES
    assert names == sorted(names)
    assert [name for name in names if name.startswith("cat/")] == names[: N_IMAGES // 2]
    assert names[0] == "cat/00001.jpg"
    assert names[-1] == f"dog/{N_IMAGES // 2:05d}.jpg"


def test_number_of_workers_does_not_change_a_byte() -> None:
    n = MIN_IMAGES_FOR_PROCESSES
    one, planted_by_one = synthetic_images(n, seed=3, workers=1)
    two, planted_by_two = synthetic_images(n, seed=3, workers=2)
    assert sha256(one) == sha256(two)
    assert planted_by_one == planted_by_two


def test_another_seed_draws_other_images_and_plants_elsewhere() -> None:
    three, planted_three = synthetic_images(60, seed=3, workers=1)
    four, planted_four = synthetic_images(60, seed=4, workers=1)
    assert not {content for _, content in three if content} & {c for _, c in four if len(c) > 100}
    assert planted_three != planted_four


def test_the_default_size_plants_24_swaps_12_and_12_pairs_and_5_broken_files() -> None:
    pictures, planted = plan(2400, np.random.default_rng(0))
    counts = [
        len(planted.swapped),
        len(planted.exact_duplicates),
        len(planted.near_duplicates),
        len(planted.broken),
    ]
    assert counts == [24, 12, 12, 5]
    assert len(pictures) == 2400
    shown_elsewhere = {n for n, p in pictures.items() if not n.startswith(p.species)}
    assert shown_elsewhere == set(planted.swapped)


def test_no_file_is_planted_twice(drawn: tuple[Files, Planted]) -> None:
    planted = drawn[1]
    pairs = [*planted.exact_duplicates, *planted.near_duplicates]
    everything = [*planted.swapped, *planted.broken, *(name for pair in pairs for name in pair)]
    assert len(everything) == len(set(everything)) == 6 + 1 + 2 * 3 + 2 * 3
    assert all(a.split("/")[0] == b.split("/")[0] for a, b in pairs)


def test_equal_bytes_are_exactly_the_planted_exact_duplicates(
    drawn: tuple[Files, Planted],
) -> None:
    files, planted = drawn
    seen: dict[bytes, list[str]] = {}
    for name, content in files:
        seen.setdefault(content, []).append(name)
    groups = {tuple(names) for names in seen.values() if len(names) > 1}
    assert groups == {tuple(sorted(pair)) for pair in planted.exact_duplicates}


def test_exactly_the_planted_broken_files_cannot_be_decoded() -> None:
    files, planted = synthetic_images(60, seed=5, workers=1)
    refused = []
    for name, content in files:
        try:
            decode(content)
        except ImageError:
            refused.append(name)
    assert tuple(refused) == planted.broken


@pytest.mark.parametrize("change", BROKEN)
def test_every_kind_of_damage_is_refused(change: Change) -> None:
    for index in range(5):
        with pytest.raises(ImageError):
            decode(render(Picture(species="cat", index=index, change=change), seed=1))


def test_near_duplicates_look_alike_and_differ_in_bytes() -> None:
    for index, change in enumerate(NEAR):
        original = render(Picture(species="dog", index=index), seed=1)
        variant = render(Picture(species="dog", index=index, change=change), seed=1)
        assert original != variant
        one, other = thumbnail(original, 16), thumbnail(variant, 16)
        if change == "mirror":
            other = other[:, ::-1]
        assert np.abs(one - other).mean() < 0.03
        stranger = thumbnail(render(Picture(species="dog", index=index + 50), seed=1), 16)
        assert np.abs(one - stranger).mean() > 0.08


def test_planted_near_duplicates_are_each_others_nearest_neighbours(
    drawn: tuple[Files, Planted],
) -> None:
    files, planted = drawn
    contents = dict(files)
    set_aside = {*planted.broken, *(copy for _, copy in planted.exact_duplicates)}
    names = [name for name in contents if name not in set_aside]
    pixels = np.stack([thumbnail(contents[name], 32) for name in names])
    assert len(planted.near_duplicates) == N_IMAGES // 200
    for original, variant in planted.near_duplicates:
        assert contents[original] != contents[variant]
        one = pixels[names.index(original)]
        plain, mirrored = (np.abs(pixels - other).mean((1, 2, 3)) for other in (one, one[:, ::-1]))
        distance = np.minimum(plain, mirrored)
        distance[names.index(original)] = np.inf
        assert names[distance.argmin()] == variant
        assert distance.min() < 0.05


def test_progress_counts_every_image() -> None:
    steps: list[int] = []
    synthetic_images(60, seed=6, workers=1, on_progress=steps.append)
    assert sum(steps) == 60


def test_raw_pixels_do_not_tell_the_species(drawn: tuple[Files, Planted]) -> None:
    files, planted = drawn
    usable = [(name, content) for name, content in files if name not in planted.broken]
    order = np.random.default_rng(0).permutation(len(usable))
    pixels = np.stack([thumbnail(usable[k][1], 32).ravel() for k in order]) - 0.5
    labels = np.array([usable[k][0].startswith("dog") for k in order])
    cut = len(usable) * 3 // 4
    for strength in (1e-3, 1e-2):
        model = LogisticRegression(C=strength, max_iter=1000).fit(pixels[:cut], labels[:cut])
        assert model.score(pixels[cut:], labels[cut:]) < 0.75


def test_sizes_and_aspects_vary(drawn: tuple[Files, Planted]) -> None:
    usable = [content for name, content in drawn[0] if name not in drawn[1].broken]
    sizes = [Image.open(io.BytesIO(content)).size for content in usable]
    assert len(set(sizes)) > 400
    assert min(min(size) for size in sizes) > 100  # near duplicates are scaled and cropped a bit
    assert max(max(size) for size in sizes) <= 320
    wide = np.mean([w > h for w, h in sizes])
    assert 0.35 < wide < 0.65


@pytest.mark.parametrize("species", SPECIES)
def test_mask_covers_the_animal_and_leaves_the_scene(species: Species) -> None:
    shares = []
    for index in range(30):
        image, mask = draw_animal(species, np.random.default_rng((9, index)))
        assert mask.shape == (image.height, image.width)
        assert mask.dtype == np.bool_
        shares.append(mask.mean())
    assert min(shares) > 0.05
    assert max(shares) < 0.95


def test_the_same_numbers_draw_both_species_in_the_same_scene() -> None:
    cat, cat_mask = draw_animal("cat", np.random.default_rng(21))
    dog, dog_mask = draw_animal("dog", np.random.default_rng(21))
    assert cat.size == dog.size
    assert (cat_mask != dog_mask).any()


def test_too_few_images_or_workers_are_refused() -> None:
    with pytest.raises(DataError, match="at least 60, got 59"):
        synthetic_images(59, seed=0, workers=1)
    with pytest.raises(DataError, match="at least 1 worker, got 0"):
        synthetic_images(60, seed=0, workers=0)
