"""Equal bytes: one image of them is kept, or none if nobody can say what it shows."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from pipeline.core.artifacts import Rejected
from pipeline.data.scan import Scanned

MAX_NAMED = 5  # of a thousand equal files, each row would name all the others


def set_aside_duplicates(
    images: Sequence[Scanned], *, relabelled: Collection[str] = (), kept: Collection[str] = ()
) -> tuple[list[Scanned], list[Rejected]]:
    """Keep the first by name of equal images; reject all of them where their labels differ.

    Args:
        images: usable images with corrected labels.
        relabelled: paths whose label a person gave: it holds for all images of the same bytes.
        kept: paths that a person wants kept whatever is found here.

    Returns:
        The images to use, sorted by path, and a row for each of the others.
    """
    same: dict[str, list[Scanned]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.path):
        same[image.sha256].append(image)
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


def _chosen(equal: Sequence[Scanned], relabelled: Collection[str]) -> Scanned | None:
    """Return the first image whose label is beyond doubt, None if labels contradict each other."""
    trusted = [image for image in equal if image.path in relabelled] or equal
    labels = {image.label for image in trusted}
    if len(labels) > 1:
        return None
    return next(image for image in equal if image.label in labels)


def _rejected(image: Scanned, equal: Sequence[Scanned], chosen: Scanned | None) -> Rejected:
    if chosen is not None:
        reason, detail = "duplicate", f"same bytes as {chosen.path}"
    else:
        reason, detail = "conflict", f"same bytes under different labels: {_others(image, equal)}"
    return Rejected(path=image.path, source=image.source, reason=reason, detail=detail)


def _others(image: Scanned, equal: Sequence[Scanned]) -> str:
    # Other labels first: they are what contradicts this image.
    others = sorted(
        (other for other in equal if other is not image),
        key=lambda other: (other.label == image.label, other.path),
    )
    more = f" and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
    return ", ".join(f"{other.path} ({other.label})" for other in others[:MAX_NAMED]) + more
