"""Groups of images that belong together and are never divided between splits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.data.scan import Scanned

NAME_DIGITS = 12  # 48 bits: among a million images two groups share a name once in 500 data sets


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images that show the same."""

    first: str
    """A path in raw.zip."""
    second: str
    kind: str
    """`pixels`: equal once decoded; `near`: alike to the eye."""


def group_images(
    images: Sequence[Scanned], *, pairs: Iterable[Pair], given: Mapping[str, str]
) -> dict[str, str]:
    """Return the name of each image's group, by path.

    Images belong together if their bytes are equal, if they are a pair, or if people gave them the
    same group; and so do images that belong together with the same third one. A group is named
    after the smallest sha256 in it, so its name follows from the contents, whatever the images are
    called and in whatever order they come.

    Args:
        images: every image that can be decoded, also those that are then set aside: what people
            correct later must not rename a group.
        pairs: pairs of these images.
        given: what people call the group of an image, by path.
    """
    ties = [
        *((image.path, ("bytes", image.sha256)) for image in images),
        *((image.path, ("given", given[image.path])) for image in images if image.path in given),
        *((pair.first, pair.second) for pair in pairs),
    ]
    root_of = connected(ties)
    smallest: dict[object, str] = {}
    for image in images:
        root = root_of[image.path]
        smallest[root] = min(smallest.get(root, image.sha256), image.sha256)
    return {image.path: smallest[root_of[image.path]][:NAME_DIGITS] for image in images}


def connected(ties: Iterable[tuple[object, object]]) -> dict[object, object]:
    """Return, for each thing that is tied, one representative of all that it is tied to.

    Which one depends on the order of the ties; that two things have the same does not. Union-find:
    in practice linear in the number of ties.

    Source: Tarjan and van Leeuwen 1984, Worst-case analysis of set union algorithms (halving).
    """
    parent: dict[object, object] = {}

    def root(thing: object) -> object:
        parent.setdefault(thing, thing)
        while parent[thing] != thing:
            parent[thing] = parent[parent[thing]]
            thing = parent[thing]
        return thing

    for one, other in ties:
        parent[root(one)] = root(other)
    return {thing: root(thing) for thing in list(parent)}


def members_of(groups: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the sorted paths of each group, by its name."""
    members: dict[str, list[str]] = {}
    for path in sorted(groups):
        members.setdefault(groups[path], []).append(path)
    return members


def find_pairs(images: Sequence[Scanned]) -> list[Pair]:
    """Return the pairs of near duplicates; none are looked for yet."""
    return []
