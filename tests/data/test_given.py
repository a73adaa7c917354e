"""The split that a data set came with is found in its folders and in what people wrote."""

import itertools

import pytest
from scanned import scanned

from pipeline.core.archive import read_members
from pipeline.core.errors import DataError
from pipeline.data.given import divided_groups, given_splits, splits_of_groups, warn_divided
from pipeline.sources.collect import collect

SPLITS = ("train", "valid", "test")


def in_folders(*folders: str) -> list:
    return [scanned(f"cat/{k}", source=f"set/{f}/{k}.jpg") for k, f in enumerate(folders)]


def test_folders_give_the_split_whatever_their_spelling():
    images = in_folders("Train/cats", "Validation/cats", "val", "TEST", "valid/deep/down")
    images.append(scanned("cat/w", source="set\\test\\w.jpg"))
    found = given_splits(images, {})
    assert list(found.values()) == ["train", "valid", "valid", "test", "valid", "test"]


def test_a_folder_that_a_source_lies_in_gives_no_split():
    images = [
        scanned(f"cat/{k}", source=f"{source}//{folder}/cat/{k}.jpg")
        for k, (source, folder) in enumerate(
            itertools.product(("train/mine/a", "https://test/b.zip"), ("train", "valid", "test"))
        )
    ]
    assert list(given_splits(images, {}).values()) == ["train", "valid", "test"] * 2


def test_sources_that_are_splits_give_theirs():
    images = [scanned(f"cat/{split}", source=f"my/{split}//cat/1.jpg") for split in SPLITS]
    assert list(given_splits(images, {}).values()) == list(SPLITS)


def test_folders_around_and_below_those_of_the_split_give_none():
    images = [
        scanned(f"{label}/{split}", source=f"test data/{split}/{label}/valid/1.jpg")
        for split in SPLITS
        for label in ("train", "cat")
    ]
    found = given_splits(images, {})
    assert [found[image.path] for image in images] == [s for s in SPLITS for _ in range(2)]


def test_a_source_of_one_split_is_kept_beside_one_that_has_all():
    names = ["a//train/cat/1.jpg", "a//test/cat/1.jpg", "b//test/cat/1.jpg", "b//test/cat/2.jpg"]
    images = [scanned(f"cat/{k}", source=name) for k, name in enumerate(names)]
    assert list(given_splits(images, {}).values()) == ["train", "test", "test", "test"]


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("training_set", "train"),
        ("Validation data", "valid"),
        ("test1", "test"),
        ("testing", "test"),
    ],
)
def test_what_the_download_steps_over_as_a_split_is_one(tmp_path, folder, split):
    for name in (f"{folder}/cat/1.jpg", f"{folder}/dog/1.jpg", "train/cat/2.jpg"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    collect("set", tmp_path / "raw.zip", sha256=None, root=tmp_path)
    members = read_members(tmp_path / "raw.zip")
    given = given_splits([scanned(m.path, source=m.source) for m in members], {})
    assert given == {"cat/1.jpg": split, "cat/2.jpg": "train", "dog/1.jpg": split}


def test_the_table_is_asked_before_the_folders():
    found = given_splits(in_folders("train", "test", "train"), {"cat/0": "valid"})
    assert list(found.values()) == ["valid", "test", "train"]


def test_without_folders_the_table_may_name_some_images_alone():
    images = [scanned("cat/1"), scanned("cat/2"), scanned("dog/1")]
    assert given_splits(images, {"cat/2": "test"}) == {"cat/2": "test"}


def test_what_the_table_says_of_unusable_images_is_nothing():
    assert given_splits([scanned("cat/1"), scanned("cat/2")], {"cat/1": "test", "cat/9": "train"})


def test_an_image_beside_the_folders_is_refused_with_the_cure():
    images = [*in_folders("train", "valid"), scanned("cat/x", source="set/extra/x.jpg")]
    with pytest.raises(DataError, match=r"set/extra/x.jpg lies in no train.* data/metadata.csv"):
        given_splits(images, {})
    assert given_splits(images, {"cat/x": "test"})["cat/x"] == "test"


def test_many_images_beside_the_folders_make_one_line():
    images = [*in_folders("train"), *(scanned(f"cat/x{k}", source=f"x{k}") for k in range(9))]
    with pytest.raises(DataError, match="found true, but x0 and 8 more lies in no train"):
        given_splits(images[::-1], {})


def test_a_file_named_train_is_not_a_folder_of_training_images():
    with pytest.raises(DataError, match="no image lies in a train, valid or test folder"):
        given_splits([scanned("cat/train", source="cats/train")], {})


def test_a_given_split_without_training_images_is_refused():
    with pytest.raises(DataError, match="no image is given to train"):
        given_splits(in_folders("valid", "test"), {})


def test_images_without_a_given_split_follow_their_group():
    groups = {"a": "1", "b": "1", "c": "2"}
    assert splits_of_groups(groups, {"a": "test"}) == {"1": "test"}


def test_a_divided_group_goes_to_training_and_is_named():
    groups = {"a": "1", "b": "1", "c": "2", "d": "2", "e": "3"}
    given = {"a": "test", "b": "valid", "c": "valid", "d": "valid", "e": "train"}
    assert splits_of_groups(groups, given) == {"1": "train", "2": "valid", "3": "train"}
    assert divided_groups(groups, given) == ["1"]
    (warning,) = warn_divided(groups, ["1"])
    assert warning.endswith("go to training: 1 (1: a, b)")
    assert warn_divided(groups, []) == []


def test_hundreds_of_divided_groups_make_a_short_warning():
    groups = {f"{k:03d}{part}": f"{k:03d}" for k in range(300) for part in "abcdef"}
    (warning,) = warn_divided(groups, sorted(set(groups.values())))
    assert "000: 000a, 000b, 000c and 3 more; 001" in warning
    assert warning.endswith("; and 295 more)")
    assert len(warning) < 500
