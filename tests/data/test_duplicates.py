"""Of equal bytes one image is kept, or none."""

from scanned import scanned

from pipeline.data.duplicates import set_aside_duplicates
from pipeline.data.scan import Scanned


def image(path: str, content: str, label: str | None = None) -> Scanned:
    changed = {} if label is None else {"label": label}
    return scanned(path, source=f"mine/{path}", sha256=content * 64, **changed)


def paths(images) -> list[str]:
    return [image.path for image in images]


def test_the_first_by_name_of_equal_images_is_kept():
    images = [image("cat/c", "1"), image("cat/a", "1"), image("cat/b", "2"), image("cat/d", "1")]
    usable, rejected = set_aside_duplicates(images)
    assert paths(usable) == ["cat/a", "cat/b"]
    assert [(r.path, r.source, r.reason, r.detail) for r in rejected] == [
        ("cat/c", "mine/cat/c", "duplicate", "same bytes as cat/a"),
        ("cat/d", "mine/cat/d", "duplicate", "same bytes as cat/a"),
    ]


def test_equal_images_under_two_labels_are_all_set_aside():
    images = [image("cat/a", "1"), image("cat/b", "1"), image("dog/a", "1"), image("dog/b", "2")]
    usable, rejected = set_aside_duplicates(images)
    assert paths(usable) == ["dog/b"]
    assert [(r.path, r.reason, r.detail) for r in rejected] == [
        ("cat/a", "conflict", "same bytes under different labels: dog/a (dog), cat/b (cat)"),
        ("cat/b", "conflict", "same bytes under different labels: dog/a (dog), cat/a (cat)"),
        ("dog/a", "conflict", "same bytes under different labels: cat/a (cat), cat/b (cat)"),
    ]


def test_a_thousand_equal_images_make_short_rows():
    images = [image(f"cat/{k:03d}", "1") for k in range(999)] + [image("dog/0", "1")]
    usable, rejected = set_aside_duplicates(images)
    assert (len(usable), len(rejected)) == (0, 1000)
    assert rejected[0].detail.startswith("same bytes under different labels: dog/0 (dog), cat/001")
    assert rejected[0].detail.endswith(" and 994 more")
    assert max(len(row.detail) for row in rejected) < 200


def test_a_person_can_keep_duplicates_and_one_side_of_a_conflict():
    images = [image("cat/a", "1"), image("cat/b", "1"), image("cat/c", "2"), image("dog/c", "2")]
    usable, rejected = set_aside_duplicates(images, kept={"cat/b", "dog/c"})
    assert paths(usable) == ["cat/a", "cat/b", "dog/c"]
    assert [(r.path, r.reason) for r in rejected] == [("cat/c", "conflict")]


def test_a_corrected_label_holds_for_every_copy():
    # cat/a shows a dog, says a person; its copy cat/b says cat only because nobody looked at it.
    images = [image("cat/a", "1", label="dog"), image("cat/b", "1")]
    usable, rejected = set_aside_duplicates(images, relabelled={"cat/a"})
    assert [(i.path, i.label) for i in usable] == [("cat/a", "dog")]
    assert [(r.path, r.reason) for r in rejected] == [("cat/b", "duplicate")]


def test_a_corrected_label_settles_a_conflict():
    images = [image("cat/a", "1"), image("dog/a", "1", label="cat")]
    usable, rejected = set_aside_duplicates(images, relabelled={"dog/a"})
    assert [(i.path, i.label) for i in usable] == [("cat/a", "cat")]
    assert [(r.path, r.reason) for r in rejected] == [("dog/a", "duplicate")]


def test_corrections_that_contradict_each_other_are_a_conflict():
    images = [image("cat/a", "1", label="dog"), image("dog/a", "1", label="cat")]
    usable, rejected = set_aside_duplicates(images, relabelled={"cat/a", "dog/a"})
    assert usable == []
    assert [r.reason for r in rejected] == ["conflict", "conflict"]
