"""Images that belong together get one group, named after what is in it."""

import random

from scanned import scanned

from pipeline.data.groups import Pair, group_images, members_of


def sha(digit: str) -> str:
    return digit * 64


def together(groups: dict[str, str]) -> list[list[str]]:
    return sorted(members_of(groups).values())


def test_an_image_alone_is_a_group_named_after_its_bytes():
    images = [scanned("cat/1", sha256="ab" * 32), scanned("cat/2", sha256="cd" * 32)]
    assert group_images(images, pairs=[], given={}) == {
        "cat/1": "abababababab",
        "cat/2": "cdcdcdcdcdcd",
    }


def test_a_group_is_named_after_its_smallest_sha256_whatever_the_names():
    images = [scanned("cat/1", sha256=sha("7")), scanned("dog/0", sha256=sha("3"))]
    groups = group_images(images, pairs=[Pair("cat/1", "dog/0", "near")], given={})
    assert groups == {"cat/1": "3" * 12, "dog/0": "3" * 12}


def test_equal_bytes_pairs_and_given_groups_join_into_one_group():
    images = [
        scanned("a", sha256=sha("1")),
        scanned("b", sha256=sha("1")),  # equal bytes: a b
        scanned("c", sha256=sha("2")),  # a pair: b c
        scanned("d", sha256=sha("3")),  # given: c d
        scanned("e", sha256=sha("4")),  # given, another
        scanned("f", sha256=sha("5")),
    ]
    groups = group_images(
        images, pairs=[Pair("b", "c", "pixels")], given={"c": "Rex", "d": "Rex", "e": "Tom"}
    )
    assert together(groups) == [["a", "b", "c", "d"], ["e"], ["f"]]


def test_a_given_group_may_be_called_like_an_image():
    images = [scanned(name) for name in ("a", "b", "c")]
    assert together(group_images(images, pairs=[], given={"b": "a", "c": "a"})) == [
        ["a"],
        ["b", "c"],
    ]


def test_a_chain_of_ten_thousand_pairs_is_one_group():
    # Recursion would end here, and so would an algorithm of quadratic time.
    images = [scanned(f"{k:05d}") for k in range(10_000)]
    pairs = [Pair(f"{k:05d}", f"{k + 1:05d}", "near") for k in range(9_999)]
    smallest = min(image.sha256 for image in images)
    for order in (pairs, pairs[::-1], random.Random(1).sample(pairs, len(pairs))):
        assert set(group_images(images, pairs=order, given={}).values()) == {smallest[:12]}


def test_the_order_of_images_and_pairs_does_not_matter():
    chance = random.Random(5)
    images = [scanned(f"{k}") for k in range(60)]
    pairs = [Pair(*(f"{k}" for k in chance.sample(range(60), 2)), "near") for _ in range(25)]
    given = {f"{k}": str(k % 9) for k in chance.sample(range(60), 15)}
    one = group_images(images, pairs=pairs, given=given)
    for _ in range(20):
        chance.shuffle(images)
        chance.shuffle(pairs)
        turned = [Pair(pair.second, pair.first, pair.kind) for pair in pairs]
        assert group_images(images, pairs=turned, given=given) == one
