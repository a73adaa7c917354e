"""What people write into corrections.csv is understood, or refused with its line."""

import pytest
from scanned import scanned

from pipeline.core.archive import Member, read_members
from pipeline.core.artifacts import Rejected
from pipeline.core.errors import ArtifactError, DataError
from pipeline.data.corrections import (
    Corrections,
    apply_corrections,
    dropped_classes,
    read_corrections,
    without_effect,
)
from pipeline.sources.collect import collect

NAMES = (
    "cat/1.jpg",
    "cat/2.jpg",
    "dog/1.jpg",
    'dog/a "b", c\n.jpg',
    "dog/=cmd.jpg",
    "dog/犬.jpg",
    "cat/3.jpg",
)
MEMBERS = tuple(Member(name, f"mine/{name}", 1) for name in NAMES)


@pytest.fixture
def read(tmp_path):
    """Return what is read from a file of this content."""

    def reading(content: str | bytes) -> Corrections:
        path = tmp_path / "corrections.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_corrections(path, MEMBERS)

    return reading


def test_a_file_with_only_its_header_corrects_nothing(read):
    assert read("path,action,label\n") == Corrections({}, frozenset(), frozenset())


@pytest.mark.parametrize("others", [[], ["cat/day2/IMG_1.jpg"]])
@pytest.mark.parametrize("more", ["cat/day1/IMG_1.jpg", "cat/IMG_1.jpg"])
def test_a_file_more_never_moves_a_row_to_another_image(tmp_path, others, more):
    archive, meant = tmp_path / "data/raw.zip", "cat/day3/IMG_1.jpg"

    def gather(*names: str) -> dict[str, str]:
        for name in names:
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        collect("photos", archive, sha256=None, root=tmp_path)
        return {member.source: member.path for member in read_members(archive)}

    def dropped() -> list[str]:
        members = read_members(archive)
        corrections = read_corrections(tmp_path / "corrections.csv", members)
        return [member.source for member in members if member.path in corrections.drop]

    path = gather(meant, "dog/1.jpg", *others)[meant]
    (tmp_path / "corrections.csv").write_text(f"path,action,label\n{path},drop,\n")
    assert dropped() == [meant]
    if gather(more)[meant] == path:
        assert others
        assert dropped() == [meant]
    else:
        with pytest.raises(DataError, match=r"line 2: (no image 'cat/I|'cat/IMG_1\.jpg' may mean)"):
            dropped()


def test_the_three_actions_are_read(read):
    found = read("path,action,label\ncat/1.jpg,relabel,dog\ncat/2.jpg,drop,\ndog/1.jpg,keep,\n")
    assert found == Corrections({"cat/1.jpg": "dog"}, {"cat/2.jpg"}, {"dog/1.jpg"})


def test_a_file_saved_by_a_spreadsheet_is_read(read):
    content = b"\xef\xbb\xbfpath,action,label\r\ncat/1.jpg,relabel,dog\r\n,,\r\n\r\n"
    assert read(content).relabel == {"cat/1.jpg": "dog"}


def test_hostile_names_are_read(read):
    found = read(
        'path,action,label\n"dog/a ""b"", c\n.jpg",drop,\ndog/=cmd.jpg,keep,\ndog/犬.jpg,drop,'
    )
    assert found.drop == {'dog/a "b", c\n.jpg', "dog/犬.jpg"}
    assert found.keep == {"dog/=cmd.jpg"}


def test_an_image_may_be_named_by_its_source(read):
    found = read("path,action,label\nmine/cat/1.jpg,relabel,dog\nmine/cat/2.jpg,drop,\n")
    assert found == Corrections({"cat/1.jpg": "dog"}, {"cat/2.jpg"}, frozenset())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("cat/9.jpg,drop,", r"line 2: no image 'cat/9.jpg'"),
        ("cat/1.jpg,delete,", r"line 2: action 'delete', expected relabel, drop, keep"),
        ("cat/1.jpg,relabel,cow", r"line 2: label 'cow', expected one of cat, dog"),
        ("cat/1.jpg,relabel,", r"line 2: label '', expected one of cat, dog"),
        ("cat/1.jpg,drop,dog", r"line 2: drop takes no label, found 'dog'"),
        ("cat/1.jpg,drop,\ncat/2.jpg,drop,\ncat/1.jpg,keep,", r"line 4: cat/1.jpg .* line 2"),
        ("cat/1.jpg,drop,\ncat/1.jpg,drop,", r"line 3: cat/1.jpg stands in line 2 already"),
        ("cat/1.jpg,drop,\nmine/cat/1.jpg,keep,", r"line 3: mine/cat/1.jpg is cat/1.jpg, which"),
        (
            "cat/1.jpg,drop,\ncat/2.jpg,relabel,dog\ncat/3.jpg,drop,",
            r"line 3: with this relabel class 'cat' has no image left; leave it one, or, if two",
        ),
    ],
)
def test_a_row_that_cannot_be_meant_is_named_by_its_line(read, rows, message):
    with pytest.raises(DataError, match=rf"corrections.csv, {message}"):
        read(f"path,action,label\n{rows}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"line 1: found nothing, expected path,action,label"),
        ("path;action;label\n", r"line 1: found path;action;label, expected path,action,label"),
        ("path,action,label\ncat/1.jpg,drop\n", r"line 2: 2 columns, expected 3"),
        ("path,action,label,note\n", r"line 1: found path,action,label,note, expected path,action"),
    ],
)
def test_a_file_of_another_form_is_refused(read, content, message):
    with pytest.raises(ArtifactError, match=message):
        read(content)


def test_corrections_change_labels_and_set_images_aside():
    images = [scanned(m.path) for m in MEMBERS[:3]]
    corrections = Corrections({"cat/1.jpg": "dog"}, frozenset({"dog/1.jpg"}), frozenset())
    usable, dropped = apply_corrections(images, corrections)
    assert [(i.path, i.label, i.folder) for i in usable] == [
        ("cat/1.jpg", "dog", "cat"),
        ("cat/2.jpg", "cat", "cat"),
    ]
    assert [(r.path, r.reason) for r in dropped] == [("dog/1.jpg", "dropped")]


def test_a_class_whose_images_people_moved_away_is_not_expected():
    corrections = Corrections(
        {"cat/1.jpg": "dog"}, frozenset({"cat/2.jpg"}), frozenset({"dog/1.jpg"})
    )
    assert corrections.classes_of(MEMBERS[:3]) == {"dog"}


def test_relabelling_all_images_of_a_class_is_meant_if_others_come_in(read):
    rows = "cat/1.jpg,relabel,dog\ncat/2.jpg,relabel,dog\ncat/3.jpg,drop,\ndog/1.jpg,relabel,cat\n"
    assert len(read(f"path,action,label\n{rows}").relabel) == 3


def test_a_class_that_people_dropped_as_a_whole_may_go_and_is_told(read):
    corrections = read("path,action,label\n" + "".join(f"cat/{k}.jpg,drop,\n" for k in (1, 2, 3)))
    (warning,) = dropped_classes(corrections, MEMBERS)
    assert warning.startswith("data/corrections.csv drops all 3 images of class 'cat'")
    kept = Corrections({}, frozenset({"cat/1.jpg"}), frozenset())
    assert dropped_classes(kept, MEMBERS) == []


def test_a_correction_that_cannot_help_is_told():
    corrections = Corrections({"cat/1.jpg": "dog"}, frozenset(), frozenset({"cat/2.jpg"}))
    refused = [Rejected(path=p, source=p, reason="empty", detail="no bytes") for p in NAMES[1:3]]
    (warning,) = without_effect(corrections, refused, {"cat/1.jpg": "a"})
    assert "cat/2.jpg stays rejected (empty: no bytes)" in warning


def test_a_relabel_to_the_label_that_an_image_has_is_told():
    corrections = Corrections({"cat/1.jpg": "cat", "dog/1.jpg": "cat"}, frozenset(), frozenset())
    groups = {"cat/1.jpg": "a", "cat/2.jpg": "a", "dog/1.jpg": "b"}
    assert without_effect(corrections, [], groups) == [
        "data/corrections.csv: cat/1.jpg is 'cat' already; relabel has no effect"
    ]


def test_a_relabel_that_says_which_of_two_labels_is_right_is_not_for_nothing():
    corrections = Corrections({"cat/1.jpg": "cat"}, frozenset(), frozenset())
    assert without_effect(corrections, [], {"cat/1.jpg": "a", "dog/1.jpg": "a"}) == []
