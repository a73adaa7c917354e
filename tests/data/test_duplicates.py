"""Of equal bytes one image is kept, or none."""

from scanned import scanned

from pipeline.data.duplicates import among_usable, set_aside_duplicates
from pipeline.data.groups import Pair
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


PIXELS = [Pair("cat/a", "cat/b", "pixels"), Pair("cat/a", "dog/c", "pixels")]


def test_of_equal_pixels_the_first_by_name_is_kept_as_of_equal_bytes():
    images = [image("cat/a", "1"), image("cat/b", "2"), image("cat/d", "2"), image("cat/e", "3")]
    usable, rejected = set_aside_duplicates(images, [*PIXELS[:1], Pair("cat/a", "cat/e", "near")])
    assert paths(usable) == ["cat/a", "cat/e"]
    assert [(row.path, row.reason, row.detail) for row in rejected] == [
        ("cat/b", "duplicate", "same pixels as cat/a"),
        ("cat/d", "duplicate", "same pixels as cat/a"),
    ]


def test_equal_pixels_under_two_labels_are_a_conflict():
    images = [image("cat/a", "1"), image("cat/b", "2"), image("dog/c", "3")]
    usable, rejected = set_aside_duplicates(images, PIXELS)
    assert usable == []
    assert [(row.path, row.reason, row.detail) for row in rejected] == [
        ("cat/a", "conflict", "same pixels under different labels: dog/c (dog), cat/b (cat)"),
        ("cat/b", "conflict", "same pixels under different labels: dog/c (dog), cat/a (cat)"),
        ("dog/c", "conflict", "same pixels under different labels: cat/a (cat), cat/b (cat)"),
    ]


def test_an_equal_image_stands_in_for_one_that_was_set_aside():
    images = [image("cat/a", "1"), image("cat/b", "1"), image("cat/c", "2"), image("dog/d", "3")]
    pairs = [Pair("cat/a", "cat/c", "pixels"), Pair("cat/a", "dog/d", "near")]
    left = [images[1], images[3]]  # people dropped cat/a, and cat/c repeats cat/b
    assert among_usable(pairs, images, left) == [Pair("cat/b", "dog/d", "near")]
    assert among_usable(pairs, images, images[:1]) == []
    assert among_usable(pairs, images, images) == pairs
