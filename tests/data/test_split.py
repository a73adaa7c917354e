"""The split is stable, stratified, whole in its groups, and the same everywhere."""

import hashlib
from collections import Counter
from dataclasses import replace

import pytest
from scanned import scanned

from pipeline.core.errors import DataError
from pipeline.data.given import given_splits
from pipeline.data.groups import group_images
from pipeline.data.scan import Scanned
from pipeline.data.split import split_images, to_samples, warn_inexact

METHODS = ("hash", "exact")


def splits_of(
    images: list[Scanned],
    *,
    seed: int = 1,
    method: str = "hash",
    given: dict[str, str] | None = None,
    groups: dict[str, str] | None = None,
) -> dict[str, str]:
    """Split into 10 % for validation and 20 % for testing."""
    return split_images(
        images,
        group_images(images, pairs=[], given=groups or {}),
        given=given or {},
        method=method,
        fractions={"valid": 0.1, "test": 0.2},
        seed=seed,
    )


def samples_of(images: list[Scanned], splits: dict[str, str]):
    return to_samples(images, group_images(images, pairs=[], given={}), splits)


def some_images(n: int) -> list[Scanned]:
    return [scanned(f"{label}/{k}.jpg") for label in ("cat", "dog") for k in range(n)]


def test_an_images_split_follows_from_its_own_bytes():
    # By hand: the first 8 bytes of sha256("7:<group>") as a fraction of 2**64, for the test split
    # below 0.2, for validation below 0.3.
    images = some_images(100)
    found = splits_of(images, seed=7)
    for one in images:
        number = int(hashlib.sha256(f"7:{one.sha256[:12]}".encode()).hexdigest()[:16], 16) / 16**16
        expected = "test" if number < 0.2 else "valid" if number < 0.3 else "train"
        assert found[one.path] == expected


def test_adding_images_moves_no_other():
    before = splits_of(some_images(200))
    after = splits_of([scanned("cat/new.jpg"), *some_images(350)])
    assert {path: after[path] for path in before} == before


def test_fractions_hold_in_every_class_as_a_fair_draw_does():
    found = splits_of(some_images(5000), seed=3)
    for label in ("cat", "dog"):
        drawn = [split for path, split in found.items() if path.startswith(label)]
        # Four standard deviations of a binomial draw of 5,000 are 0.017 and 0.023.
        assert abs(drawn.count("valid") / 5000 - 0.1) < 0.017
        assert abs(drawn.count("test") / 5000 - 0.2) < 0.023


def test_exact_fractions_are_met_in_every_class():
    images = [scanned(f"cat/{k}") for k in range(70)] + [scanned(f"dog/{k}") for k in range(130)]
    found = splits_of(images, method="exact")
    counts = Counter((path.partition("/")[0], split) for path, split in found.items())
    assert counts == {
        ("cat", "test"): 14,
        ("cat", "valid"): 7,
        ("cat", "train"): 49,
        ("dog", "test"): 26,
        ("dog", "valid"): 13,
        ("dog", "train"): 91,
    }


def test_where_groups_leave_other_counts_than_the_exact_ones_it_is_told():
    # Of 100 cats in groups of 20, 20 are wanted for testing and 10 for validation; of 10 dogs 2
    # and 1. A group of 20 is as far from 10 as none.
    images = [scanned(f"cat/{k}") for k in range(100)] + [scanned(f"dog/{k}") for k in range(10)]
    groups = {f"cat/{k}": f"animal {k % 5}" for k in range(100)}
    found = splits_of(images, method="exact", groups=groups)
    (warning,) = warn_inexact(images, found, {"valid": 0.1, "test": 0.2})
    assert warning.endswith("leave cat valid 0 instead of 10")
    fine = splits_of(images, method="exact")
    assert warn_inexact(images, fine, {"valid": 0.1, "test": 0.2}) == []


@pytest.mark.parametrize("method", METHODS)
def test_another_seed_draws_anew(method):
    one, two = (splits_of(some_images(200), seed=seed, method=method) for seed in (1, 2))
    assert sum(one[path] != two[path] for path in one) > 100


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(30))
def test_in_a_tiny_set_no_split_is_empty_and_every_class_trains(seed, method):
    images = [*some_images(3), scanned("fox/only.jpg")]
    found = splits_of(images, seed=seed, method=method)
    assert {"train", "valid", "test"} == set(found.values())
    assert len({s.label for s in samples_of(images, found) if s.split == "train"}) == 3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(10))
def test_a_corrected_label_moves_no_image(seed, method):
    images = some_images(30)
    corrected = [replace(one, label="dog") if one.path < "cat/15" else one for one in images]
    assert corrected != images
    assert splits_of(images, seed=seed, method=method) == splits_of(
        corrected, seed=seed, method=method
    )


def test_too_few_images_for_three_splits_are_refused():
    images = [scanned("cat/1.jpg"), scanned("dog/1.jpg")]
    with pytest.raises(DataError, match=r"the valid split is empty: 2 usable images in 2 groups"):
        samples_of(images, splits_of(images))


def given_images(*folders: str, n: int = 60) -> list[Scanned]:
    return [
        scanned(f"{label}/{folder}-{k}.jpg", source=f"set/{folder}/{label}s/{k}.jpg")
        for folder in folders
        for label in ("cat", "dog")
        for k in range(n)
    ]


def kept(images: list[Scanned], **options) -> dict[str, str]:
    return splits_of(images, given=given_splits(images, options.pop("table", {})), **options)


@pytest.mark.parametrize("method", METHODS)
def test_a_given_split_is_kept(method):
    images = given_images("train", "valid", "test")
    found = kept(images, method=method)
    assert {(path.split("/")[1].split("-")[0], split) for path, split in found.items()} == {
        ("train", "train"),
        ("valid", "valid"),
        ("test", "test"),
    }


def test_a_split_that_the_source_lacks_is_drawn_from_its_training_images():
    found = kept(given_images("train", "valid", n=400))
    from_train = [split for path, split in found.items() if "train-" in path]
    assert {split for path, split in found.items() if "valid-" in path} == {"valid"}
    assert set(from_train) == {"train", "test"}
    assert abs(from_train.count("test") / 800 - 0.2) < 0.06  # four standard deviations


def test_an_exact_test_split_is_drawn_from_the_training_images_too():
    found = kept(given_images("train", "valid", n=50), method="exact")
    assert Counter(split for path, split in found.items() if "train-" in path) == {
        "test": 20,
        "train": 80,
    }


def test_a_drawn_test_split_does_not_move_when_images_are_added():
    before = kept(given_images("train", "valid"))
    after = kept(given_images("train", "valid", n=90))
    assert {path: after[path] for path in before} == before


def test_images_that_a_table_does_not_name_are_for_training_and_the_missing_split():
    images = some_images(50)
    table = {f"cat/{k}.jpg": "test" for k in range(20)}
    found = kept(images, table=table, method="exact")
    assert {path for path, split in found.items() if split == "test"} == table.keys()
    # A tenth of 30 cats and of 50 dogs.
    assert Counter(path[:3] for path, split in found.items() if split == "valid") == {
        "cat": 3,
        "dog": 5,
    }


def test_a_group_that_the_given_split_divides_goes_to_training():
    images = given_images("train", "valid", "test")
    groups = {"cat/test-1.jpg": "Rex", "dog/valid-1.jpg": "Rex", "dog/valid-2.jpg": "Rex"}
    found = kept(images, groups=groups)
    assert {found[path] for path in groups} == {"train"}
    assert found["cat/test-2.jpg"] == "test"


def test_a_divided_group_is_not_held_out_by_a_drawn_split_either():
    # The test split is drawn from the training images; a group that lies partly in the given
    # validation images must not be drawn, whatever its number.
    images = given_images("train", "valid")
    groups = {f"cat/{folder}-{k}.jpg": f"{k}" for k in range(60) for folder in ("train", "valid")}
    found = kept(images, groups=groups)
    assert {found[path] for path in groups} == {"train"}


def test_images_follow_the_given_split_of_their_group():
    images = some_images(50)
    found = kept(images, table={"cat/0.jpg": "test"}, groups={"cat/0.jpg": "A", "dog/9.jpg": "A"})
    assert found["dog/9.jpg"] == "test"


def test_a_class_that_is_only_in_the_given_test_split_is_refused():
    images = [
        *given_images("train", "valid", "test"),
        scanned("fox/1.jpg", source="set/test/fox/1.jpg"),
    ]
    with pytest.raises(DataError, match="class 'fox' has no training image"):
        samples_of(images, kept(images))
