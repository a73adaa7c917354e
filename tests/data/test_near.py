"""Finding the images that show the same."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from data_archives import archive_of, encoded, noise
from PIL import Image

from pipeline.data.groups import Pair, connected
from pipeline.data.look import look_at
from pipeline.data.near import MAX_BITS_APART, _candidates, _few_bits_apart, find_pairs
from pipeline.data.scan import Scanned, scan_archive
from pipeline.sources.drawing import draw_animal
from pipeline.sources.synthetic import synthetic_images


def pairs_in(
    tmp_path: Path, contents: dict[str, bytes], *, workers: int = 1
) -> tuple[list[Pair], list[Scanned]]:
    path, members = archive_of(tmp_path, contents)
    images, _ = scan_archive(path, members, workers=workers)
    places = {member.path: member.place for member in members}
    return find_pairs(images, places=places, archive_path=path, workers=workers), images


def together(pairs: Sequence[Pair]) -> dict[object, object]:
    return connected((pair.first, pair.second) for pair in pairs)


def drawing(seed: int) -> Image.Image:
    return draw_animal("dog", np.random.default_rng(seed))[0]


def test_equal_pixels_in_other_bytes_are_a_pair_of_pixels(tmp_path):
    image = noise(1)
    pairs, _ = pairs_in(
        tmp_path,
        {
            "cat/a.png": encoded(image, "PNG"),
            "cat/b.bmp": encoded(image, "BMP"),
            "cat/c.png": encoded(image, "PNG", compress_level=0),
            "dog/d.png": encoded(noise(2), "PNG"),
        },
    )
    assert pairs == [
        Pair("cat/a.png", "cat/b.bmp", "pixels"),
        Pair("cat/a.png", "cat/c.png", "pixels"),
    ]


def test_one_pixel_that_differs_by_one_level_is_near_and_not_equal(tmp_path):
    image = drawing(1)
    changed = image.copy()
    r, g, b = changed.getpixel((9, 9))
    changed.putpixel((9, 9), (r, g, b + 1 if b < 255 else b - 1))
    assert look_at(image) == look_at(changed)
    pairs, _ = pairs_in(
        tmp_path, {"cat/a.png": encoded(image, "PNG"), "cat/b.png": encoded(changed, "PNG")}
    )
    assert pairs == [Pair("cat/a.png", "cat/b.png", "near")]


def test_what_is_near_the_second_of_two_equal_images_is_near_the_first(tmp_path):
    def flat(level: int) -> Image.Image:
        return Image.new("RGB", (64, 64), (level, level, level))

    # More than 16 of one hash: the third is compared with its neighbour, the second, alone.
    contents = {f"cat/other{k:02d}.png": encoded(flat(10 * k), "PNG") for k in range(16)}
    contents |= {
        "cat/a.png": encoded(flat(200), "PNG", compress_level=1),
        "cat/b.png": encoded(flat(200), "PNG", compress_level=9),
        "cat/c.png": encoded(flat(203), "PNG"),
    }
    assert contents["cat/a.png"] != contents["cat/b.png"]
    pairs, _ = pairs_in(tmp_path, contents)
    assert [p for p in pairs if "other" not in p.first + p.second] == [
        Pair("cat/a.png", "cat/b.png", "pixels"),
        Pair("cat/a.png", "cat/c.png", "near"),
    ]


def test_equal_bytes_are_not_looked_at_again(tmp_path):
    jpeg = encoded(drawing(1), "JPEG")
    pairs, _ = pairs_in(tmp_path, {"cat/a.jpg": jpeg, "cat/b.jpg": jpeg, "dog/c.jpg": jpeg})
    assert pairs == []


@pytest.mark.parametrize("workers", [1, 3])
def test_copies_are_found_across_classes_whatever_the_number_of_workers(tmp_path, workers):
    images = [drawing(seed) for seed in range(6)]
    contents = {
        f"cat/{k}.jpg": encoded(image, "JPEG", quality=95) for k, image in enumerate(images)
    }
    contents |= {
        f"dog/{k}.jpg": encoded(image, "JPEG", quality=50) for k, image in enumerate(images[:4])
    }
    pairs, _ = pairs_in(tmp_path, contents, workers=workers)
    assert pairs == [Pair(f"cat/{k}.jpg", f"dog/{k}.jpg", "near") for k in range(4)]


def test_every_pair_up_to_eleven_bits_apart_is_found():
    rng = np.random.default_rng(0)
    some = rng.integers(0, 2**63, 150, dtype=np.uint64)
    flips = [rng.choice(64, size=k % 17, replace=False) for k in range(150)]
    others = [
        int(h) ^ sum(1 << int(bit) for bit in bits) for h, bits in zip(some, flips, strict=True)
    ]
    hashes = np.unique(np.array([*some.tolist(), *others], dtype=np.uint64))
    index = np.arange(len(hashes))
    found = {
        pair
        for first, second in _few_bits_apart(hashes, hashes, index)
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    }
    apart = {
        (i, j): (int(hashes[i]) ^ int(hashes[j])).bit_count()
        for i, j in combinations(range(len(hashes)), 2)
    }
    assert found >= {pair for pair, bits in apart.items() if bits <= 11}
    assert found <= {pair for pair, bits in apart.items() if bits <= MAX_BITS_APART}
    assert len([pair for pair in found if apart[pair] <= 11]) > 80  # the test tests something


def scanned(k: int, image: Image.Image) -> Scanned:
    return Scanned(
        path=f"cat/{k:05d}.jpg",
        source="",
        label="cat",
        sha256=f"{k:064x}",
        width=image.width,
        height=image.height,
        look=look_at(image),
    )


def test_thousands_of_empty_pictures_are_few_candidates():
    images = [scanned(k, Image.new("RGB", (20, 20), "white")) for k in range(3000)]
    assert 2999 <= len(list(_candidates(images))) <= 2 * 3000


@pytest.mark.slow
def test_planted_copies_are_found_and_nothing_else(tmp_path):
    images, planted = synthetic_images(2400, seed=2018, workers=2)
    pairs, _ = pairs_in(tmp_path, dict(images), workers=2)
    group = together(pairs)
    found = [(a, b) for a, b in planted.near_duplicates if group.get(a, a) == group.get(b, b)]
    assert len(planted.near_duplicates) == 12
    assert len(found) == 12
    expected = {frozenset(pair) for pair in planted.near_duplicates}
    assert {frozenset((pair.first, pair.second)) for pair in pairs} == expected
