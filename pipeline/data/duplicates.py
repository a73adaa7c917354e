"""Equal bytes or pixels: one image of them is kept, or none if nobody can say what it shows."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from pipeline.core.artifacts import Rejected
from pipeline.data.groups import Pair, connected
from pipeline.data.scan import Scanned

MAX_NAMED = 5  # of a thousand equal files, each row would name all the others


def set_aside_duplicates(
    images: Sequence[Scanned],
    pairs: Iterable[Pair] = (),
    *,
    relabelled: Collection[str] = (),
    kept: Collection[str] = (),
) -> tuple[list[Scanned], list[Rejected]]:
    """Keep the first by name of equal images; reject all of them where their labels differ.

    Args:
        images: usable images with corrected labels.
        pairs: which images show the same; those of equal pixels count here.
        relabelled: paths whose label a person gave: it holds for all equal images.
        kept: paths that a person wants kept whatever is found here.

    Returns:
        The images to use, sorted by path, and a row for each of the others.
    """
    equal_to = _equal(images, pairs)
    same: dict[object, list[Scanned]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.path):
        same[equal_to[image.path]].append(image)
    usable: list[Scanned] = []
    rejected: list[Rejected] = []
    for equal in same.values():
        chosen = _chosen(equal, relabelled)
        for image in equal:
            if image is chosen or image.path in kept:
                usable.append(image)
            else:
                rejected.append(_rejected(image, equal, chosen))
    return sorted(usable, key=lambda image: image.path), rejected


def among_usable(
    pairs: Iterable[Pair], images: Sequence[Scanned], usable: Sequence[Scanned]
) -> list[Pair]:
    """Return the pairs of usable images: an equal image stands in for one that was set aside.

    Args:
        pairs: which images show the same.
        images: all images that the pairs may name.
        usable: those that are left.
    """
    pairs = list(pairs)
    equal_to = _equal(images, pairs)
    left = {image.path for image in usable}
    first = {equal_to[path]: path for path in sorted(left, reverse=True)}
    found = set()
    for pair in pairs:
        ends = [p if p in left else first.get(equal_to[p]) for p in (pair.first, pair.second)]
        one, other = sorted(filter(None, ends)) if all(ends) else ("", "")
        if one != other:
            found.add(Pair(one, other, pair.kind))
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def _equal(images: Iterable[Scanned], pairs: Iterable[Pair]) -> dict[object, object]:
    """Return one representative for each path, the same for images of equal bytes or pixels."""
    return connected(
        [
            *((image.path, ("bytes", image.sha256)) for image in images),
            *((pair.first, pair.second) for pair in pairs if pair.kind == "pixels"),
        ]
    )


def _chosen(equal: Sequence[Scanned], relabelled: Collection[str]) -> Scanned | None:
    """Return the first image whose label is beyond doubt, None if labels contradict each other."""
    trusted = [image for image in equal if image.path in relabelled] or equal
    labels = {image.label for image in trusted}
    if len(labels) > 1:
        return None
    return next(image for image in equal if image.label in labels)


def _rejected(image: Scanned, equal: Sequence[Scanned], chosen: Scanned | None) -> Rejected:
    if chosen is not None:
        what = "bytes" if image.sha256 == chosen.sha256 else "pixels"
        reason, detail = "duplicate", f"same {what} as {chosen.path}"
    else:
        what = "bytes" if len({other.sha256 for other in equal}) == 1 else "pixels"
        reason, detail = "conflict", f"same {what} under different labels: {_others(image, equal)}"
    return Rejected(path=image.path, source=image.source, reason=reason, detail=detail)


def _others(image: Scanned, equal: Sequence[Scanned]) -> str:
    # Other labels first: they are what contradicts this image.
    others = sorted(
        (other for other in equal if other is not image),
        key=lambda other: (other.label == image.label, other.path),
    )
    more = f" and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
    return ", ".join(f"{other.path} ({other.label})" for other in others[:MAX_NAMED]) + more
