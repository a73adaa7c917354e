"""Equal bytes: one image of them is kept, or none if people disagree on what it shows."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from pipeline.core.artifacts import Rejected
from pipeline.data.scan import Scanned


def set_aside_duplicates(
    images: Sequence[Scanned], *, kept: Collection[str] = ()
) -> tuple[list[Scanned], list[Rejected]]:
    """Keep the first by name of equal images; reject all of them where their labels differ.

    Args:
        images: usable images.
        kept: paths that a person wants kept whatever is found here.
    """
    same: dict[str, list[Scanned]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.path):
        same[image.sha256].append(image)
    usable: list[Scanned] = []
    rejected: list[Rejected] = []
    for group in same.values():
        conflict = len({image.label for image in group}) > 1
        for index, image in enumerate(group):
            if image.path in kept or (index == 0 and not conflict):
                usable.append(image)
            else:
                rejected.append(_rejected(image, group, conflict=conflict))
    return sorted(usable, key=lambda image: image.path), rejected


def _rejected(image: Scanned, group: Sequence[Scanned], *, conflict: bool) -> Rejected:
    others = [other.path for other in group if other is not image]
    detail = (
        f"same bytes under another label: {', '.join(others)}"
        if conflict
        else f"same bytes as {group[0].path}"
    )
    reason = "conflict" if conflict else "duplicate"
    return Rejected(path=image.path, source=image.source, reason=reason, detail=detail)
