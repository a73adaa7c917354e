"""Every layout that is recognised, and what is left out of it."""

import logging

import pytest

from pipeline.core.archive import marked_path
from pipeline.core.errors import DataError


def named(*names):
    return [(name, name.encode()) for name in names]


LAYOUTS = {
    "class folders": ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"],
    "in a train folder": ["train/cat/1.jpg", "train/cat/2.jpg", "train/dog/1.jpg"],
    "wrapped": ["a/b/cat/1.jpg", "a/b/cat/2.jpg", "a/b/dog/1.jpg"],
    "with a dot folder in front": ["./x/cat/1.jpg", "./x/cat/2.jpg", "./x/dog/1.jpg"],
    "microsoft": [
        "PetImages/cat/1.jpg",
        "PetImages/cat/2.jpg",
        "PetImages/cat/Thumbs.db",
        "PetImages/dog/1.jpg",
        "PetImages/dog/Thumbs.db",
        "CDLA-Permissive-2.0.pdf",
        "readme[1].txt",
        "meta/classes.json",
        "PetImages/dog/index.db",
    ],
    "fast.ai": [
        "dogscats/train/cat/1.jpg",
        "dogscats/valid/cat/2.jpg",
        "dogscats/valid/dog/1.jpg",
        "dogscats/test1/7.jpg",
        "dogscats/sample/train/cat/1.jpg",
        "dogscats/sample/valid/dog/1.jpg",
        "dogscats/models/weights.h5",
    ],
    "each split wrapped twice": [
        "training_set/training_set/cat/1.jpg",
        "training_set/training_set/cat/2.jpg",
        "test_set/test_set/dog/1.jpg",
    ],
    "mac": [
        "pets/cat/1.jpg",
        "pets/cat/2.jpg",
        "pets/dog/1.jpg",
        "pets/.DS_Store",
        "__MACOSX/pets/cat/._1.jpg",
        "__MACOSX/other/._1.jpg",
    ],
}


@pytest.mark.parametrize("names", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("kind", ["make_zip", "make_tar", "make_folder"])
def test_the_classes_of_each_layout_are_found(names, kind, request, gather):
    source = request.getfixturevalue(kind)(named(*names))
    assert list(gather(source)) == ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]


@pytest.mark.parametrize("wrap", ["", "train/", "dogs-vs-cats/train/", "train/train/"])
def test_kaggle_names_begin_with_the_class(wrap, make_zip, gather):
    source = make_zip(named(f"{wrap}cat.0.jpg", f"{wrap}dog.0.jpg", f"{wrap}dog.1.jpg"))
    assert list(gather(source)) == ["cat/cat.0.jpg", "dog/dog.0.jpg", "dog/dog.1.jpg"]


@pytest.mark.parametrize("test", ["test/", "test1/", "test1/test1/"])
def test_kaggles_unlabelled_test_images_are_left_out_and_counted(test, make_zip, gather, caplog):
    caplog.set_level(logging.INFO)
    train = test.replace("test1", "train").replace("test", "train")
    names = [f"{train}cat.0.jpg", f"{train}dog.0.jpg", f"{test}1.jpg", f"{test}2.jpg"]
    assert list(gather(make_zip(named(*names)))) == ["cat/cat.0.jpg", "dog/dog.0.jpg"]
    assert "left out: 2 files without a class" in caplog.text


def test_what_is_left_out_is_said_in_one_line(make_zip, gather, caplog):
    caplog.set_level(logging.INFO)
    gather(make_zip(named(*LAYOUTS["fast.ai"], "dogscats/readme.md", "dogscats/.DS_Store")))
    lines = [record.message for record in caplog.records if "left out" in record.message]
    assert lines == [
        "left out: 2 files without a class, 1 notes and tables, 2 repeats in sample/, "
        "1 system files"
    ]


def test_the_split_folder_stays_visible_in_the_source_name(make_zip, gather):
    members = gather(make_zip(named("train/cat/1.jpg", "valid/cat/1.jpg", "valid/dog/1.jpg")))
    assert {path: source for path, (source, _) in members.items()} == {
        marked_path("cat/1", ".jpg", "train/cat/1.jpg"): "train/cat/1.jpg",
        marked_path("cat/1", ".jpg", "valid/cat/1.jpg"): "valid/cat/1.jpg",
        "dog/1.jpg": "valid/dog/1.jpg",
    }


def test_folders_below_a_class_folder_belong_to_the_class(make_zip, gather):
    members = gather(make_zip(named("cat/2019/1.jpg", "cat/2020/1.jpg", "dog/2019/1.jpg")))
    marked = [marked_path("cat/1", ".jpg", f"cat/{year}/1.jpg") for year in (2019, 2020)]
    assert list(members) == [*sorted(marked), "dog/1.jpg"]


def test_a_class_may_be_called_train(make_zip, gather):
    assert list(gather(make_zip(named("bus/1.jpg", "train/1.jpg")))) == ["bus/1.jpg", "train/1.jpg"]


def test_a_class_may_be_called_sample(make_zip, gather):
    members = gather(make_zip(named("sample/1.jpg", "control/1.jpg")))
    assert list(members) == ["control/1.jpg", "sample/1.jpg"]


def test_a_lone_sample_folder_is_used(make_zip, gather):
    members = gather(make_zip(named("sample/train/cat/1.jpg", "sample/valid/dog/1.jpg")))
    assert list(members) == ["cat/1.jpg", "dog/1.jpg"]


def test_files_that_are_no_images_are_kept_for_the_scan_to_judge(make_zip, gather):
    members = gather(make_zip(named("cat/1.jpg", "cat/notes.pdf", "dog/1", "dog/2.exe")))
    assert list(members) == ["cat/1.jpg", "cat/notes.pdf", "dog/1", "dog/2.exe"]


CLASS_NAMES = [
    "été",
    "golden retriever",
    "it's",
    'say "hi"',
    "=cmd",
    "犬",
    "a,b",
    "-x",
    "a.b",
    "🐱",
]


@pytest.mark.parametrize("kind", ["make_zip", "make_tar", "make_folder"])
def test_class_names_keep_their_text(kind, request, gather):
    source = request.getfixturevalue(kind)(named(*(f"{c}/1.jpg" for c in CLASS_NAMES)))
    assert {path.partition("/")[0] for path in gather(source)} == set(CLASS_NAMES)


def test_two_spellings_that_unicode_calls_equal_are_one_class(make_zip, gather):
    source = make_zip(named("train/\u00e9/1.jpg", "valid/e\u0301/1.jpg", "train/x/1.jpg"))
    assert [path.partition("/")[0] for path in gather(source)] == ["x", "\u00e9", "\u00e9"]


def test_classes_that_differ_in_case_are_kept_apart_with_a_warning(make_zip, gather, caplog):
    members = gather(make_zip(named("Cat/1.jpg", "cat/1.jpg", "dog/1.jpg")))
    marked = [marked_path(f"{name}/1", ".jpg", f"{name}/1.jpg") for name in ("Cat", "cat")]
    assert list(members) == [*marked, "dog/1.jpg"]
    assert "differ only in case are kept apart: Cat, cat" in caplog.text


WRONG = {
    "one class": (
        ["cat/1.jpg", "cat/2.jpg"],
        "only one class, cat (2 files); expected two or more",
    ),
    "one class wrapped": (["pets/cat/1.jpg"], "only one class, cat (1 files)"),
    "no class": (["1.jpg", "2.jpg"], "no class found; expected two or more folders"),
    "only notes": (["cat/a.txt", "dog/b.csv"], "no class found"),
    "nothing": ([], "holds no files"),
    "an empty class folder": (["cat/1.jpg", "dog/1.jpg", "emu/"], "class folder emu is empty"),
    "only Thumbs.db": (["cat/1.jpg", "dog/1.jpg", "emu/Thumbs.db"], "class folder emu is empty"),
    "one empty": (["x/cat/1.jpg", "x/dog/"], "class folder x/dog is empty"),
    "archives inside": (["train.zip", "test1.zip"], "it holds train.zip: unpack that"),
}


@pytest.mark.parametrize(("names", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("kind", ["make_zip", "make_folder"])
@pytest.mark.usefixtures("untouched")
def test_fewer_than_two_classes_are_one_clear_line(names, message, kind, request, gather, tmp_path):
    (tmp_path / "source").mkdir()
    source = request.getfixturevalue(kind)(named(*names))
    with pytest.raises(DataError) as caught:
        gather(source)
    assert message in str(caught.value)
    assert str(source) in str(caught.value)


def test_a_class_folder_that_is_empty_in_one_split_only_is_fine(make_zip, gather):
    source = make_zip(named("train/cat/1.jpg", "train/dog/1.jpg", "valid/cat/1.jpg", "valid/dog/"))
    assert len(gather(source)) == 3
