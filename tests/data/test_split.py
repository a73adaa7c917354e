"""The split is stable, stratified, whole in its groups, and the same everywhere."""

import hashlib
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.errors import DataError
from pipeline.data.scan import Scanned
from pipeline.data.split import given_split, group_of, hash_split, to_samples

FRACTIONS = {"valid_fraction": 0.1, "test_fraction": 0.2}
REPOSITORY = Path(__file__).parents[2]


def image(path: str, content: str | None = None, source: str = "") -> Scanned:
    return Scanned(
        path=path,
        source=source or path,
        label=path.partition("/")[0],
        sha256=hashlib.sha256((content or path).encode()).hexdigest(),
        width=9,
        height=9,
    )


def some_images(n: int) -> list[Scanned]:
    return [image(f"{label}/{k}.jpg") for label in ("cat", "dog") for k in range(n)]


def test_an_images_split_follows_from_its_own_bytes():
    # By hand: the first 8 bytes of sha256("7:<group>") as a fraction of 2**64, for the test split
    # below 0.2, for validation below 0.3.
    images = some_images(100)
    found = hash_split(images, **FRACTIONS, seed=7)
    for one in images:
        number = int(hashlib.sha256(f"7:{one.sha256[:12]}".encode()).hexdigest()[:16], 16) / 16**16
        expected = "test" if number < 0.2 else "valid" if number < 0.3 else "train"
        assert found[one.path] == expected


def test_adding_images_moves_no_other():
    before = hash_split(some_images(200), **FRACTIONS, seed=1)
    after = hash_split([image("cat/new.jpg"), *some_images(350)], **FRACTIONS, seed=1)
    assert {path: after[path] for path in before} == before


def test_fractions_hold_in_every_class_as_a_fair_draw_does():
    found = hash_split(some_images(5000), **FRACTIONS, seed=3)
    for label in ("cat", "dog"):
        drawn = [split for path, split in found.items() if path.startswith(label)]
        # Four standard deviations of a binomial draw of 5,000 are 0.017 and 0.023.
        assert abs(drawn.count("valid") / 5000 - 0.1) < 0.017
        assert abs(drawn.count("test") / 5000 - 0.2) < 0.023


def test_another_seed_draws_anew():
    one, two = (hash_split(some_images(200), **FRACTIONS, seed=seed) for seed in (1, 2))
    assert sum(one[path] != two[path] for path in one) > 100


def test_the_order_of_the_images_does_not_matter():
    images = some_images(40)
    shuffled = random.Random(0).sample(images, len(images))
    one, two = (hash_split(order, **FRACTIONS, seed=1) for order in (images, shuffled))
    assert one == two
    assert to_samples(images, one) == to_samples(shuffled, two)


def test_hash_seed_and_locale_do_not_matter():
    code = (
        "from test_split import *; import hashlib;"
        "print(hashlib.sha256(repr(sorted(hash_split(some_images(9), valid_fraction=0.3,"
        "test_fraction=0.3, seed=1).items())).encode()).hexdigest())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={
                **os.environ,
                "PYTHONPATH": f"{REPOSITORY}:{Path(__file__).parent}",
                "PYTHONHASHSEED": seed,
                "LC_ALL": locale,
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, locale in (("0", "C"), ("12345", "C.UTF-8"))
    }
    assert len(printed) == 1


def test_a_group_is_never_divided():
    copies = [image(f"cat/{k}{part}.jpg", content=str(k)) for k in range(200) for part in "ab"]
    found = hash_split([*copies, *some_images(50)], **FRACTIONS, seed=1)
    assert all(found[f"cat/{k}a.jpg"] == found[f"cat/{k}b.jpg"] for k in range(200))
    assert len({group_of(one) for one in copies}) == 200


@pytest.mark.parametrize("seed", range(30))
def test_in_a_tiny_set_no_split_is_empty_and_every_class_trains(seed):
    images = [*some_images(3), image("fox/only.jpg")]
    found = hash_split(images, **FRACTIONS, seed=seed)
    assert {"train", "valid", "test"} == set(found.values())
    assert len({s.label for s in to_samples(images, found) if s.split == "train"}) == 3


@pytest.mark.parametrize("seed", range(10))
def test_a_corrected_label_moves_no_image(seed):
    images = some_images(30)
    corrected = [replace(one, label="dog") if one.path < "cat/15" else one for one in images]
    assert corrected != images
    assert hash_split(images, **FRACTIONS, seed=seed) == hash_split(
        corrected, **FRACTIONS, seed=seed
    )


def test_too_few_images_for_three_splits_are_refused():
    images = [image("cat/1.jpg"), image("dog/1.jpg")]
    with pytest.raises(DataError, match=r"the valid split is empty: 2 usable images are too few"):
        to_samples(images, hash_split(images, **FRACTIONS, seed=1))


def given_images(*folders: str, n: int = 60) -> list[Scanned]:
    return [
        image(f"{label}/{folder}-{k}.jpg", source=f"set/{folder}/{label}s/{k}.jpg")
        for folder in folders
        for label in ("cat", "dog")
        for k in range(n)
    ]


def test_a_given_split_is_kept_whatever_its_spelling():
    images = given_images("Train", "Validation", "TEST")
    found = given_split(images, **FRACTIONS, seed=1)
    assert {(path.split("/")[1].split("-")[0], split) for path, split in found.items()} == {
        ("Train", "train"),
        ("Validation", "valid"),
        ("TEST", "test"),
    }


def test_a_split_that_the_source_lacks_is_drawn_from_its_training_images():
    images = given_images("train", "valid", n=400)
    found = given_split(images, **FRACTIONS, seed=1)
    from_train = [split for path, split in found.items() if "train-" in path]
    assert {split for path, split in found.items() if "valid-" in path} == {"valid"}
    assert set(from_train) == {"train", "test"}
    assert abs(from_train.count("test") / 800 - 0.2) < 0.06  # four standard deviations


def test_a_drawn_test_split_does_not_move_when_images_are_added():
    before = given_split(given_images("train", "valid"), **FRACTIONS, seed=1)
    after = given_split(given_images("train", "valid", n=90), **FRACTIONS, seed=1)
    assert {path: after[path] for path in before} == before


def test_equal_images_of_two_given_splits_all_go_to_training():
    images = given_images("train", "valid", "test")
    copies = [
        image("cat/x.jpg", content="x", source="set/test/cats/x.jpg"),
        image("cat/y.jpg", content="x", source="set/train/cats/y.jpg"),
    ]
    found = given_split([*images, *copies], **FRACTIONS, seed=1)
    assert (found["cat/x.jpg"], found["cat/y.jpg"]) == ("train", "train")


def test_an_image_in_no_given_split_is_refused():
    images = [*given_images("train", "valid"), image("cat/x.jpg", source="set/extra/x.jpg")]
    with pytest.raises(DataError, match=r"split.keep_given: .* set/extra/x.jpg lies in no train"):
        given_split(images, **FRACTIONS, seed=1)


def test_a_file_named_train_is_not_a_folder_of_training_images():
    with pytest.raises(DataError, match="lies in no train"):
        given_split([image("cat/train", source="cats/train")], **FRACTIONS, seed=1)


def test_a_source_without_training_images_is_refused():
    with pytest.raises(DataError, match="no image lies in a train folder"):
        given_split(given_images("valid", "test"), **FRACTIONS, seed=1)


def test_a_class_that_is_only_in_the_given_test_split_is_refused():
    images = [
        *given_images("train", "valid", "test"),
        image("fox/1.jpg", source="set/test/fox/1.jpg"),
    ]
    with pytest.raises(DataError, match="class 'fox' has no training image"):
        to_samples(images, given_split(images, **FRACTIONS, seed=1))
