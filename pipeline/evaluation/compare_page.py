"""A small self-contained page of what two models disagree about."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.archive import RawArchive
from pipeline.core.errors import ArtifactError, ImageError
from pipeline.evaluation.comparison import Comparison, Pair, p_text
from pipeline.evaluation.html import environment, small_jpeg
from pipeline.imaging.decode import decode

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "templates"
MAX_SHOWN = 200
"""Images of each gallery, so that the page stays small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The images that one of the models alone gets right."""

    title: str
    pairs: Sequence[Pair]
    """Those that are shown."""
    n: int
    """How many there are."""


def render(comparison: Comparison, *, old: str, new: str, archive_path: Path) -> str:
    """Return the page as HTML; equal arguments give equal bytes.

    Args:
        comparison: what it is about.
        old: what the old model is called.
        new: what the new model is called.
        archive_path: data/raw.zip; images that it lacks are named without a picture.
    """
    galleries = [
        Gallery(title=title, pairs=pairs[:MAX_SHOWN], n=len(pairs))
        for title, pairs in (("Newly broken", comparison.broken), ("Fixed", comparison.fixed))
    ]
    shown = [pair.path for gallery in galleries for pair in gallery.pairs]
    return (
        environment(TEMPLATES)
        .get_template("compare.html")
        .render(
            found=comparison,
            galleries=galleries,
            old=old,
            new=new,
            p_value=p_text(comparison.p_value),
            sentence=comparison.sentence(old, new),
            thumbnails=thumbnails(archive_path, shown),
        )
    )


def thumbnails(archive_path: Path, paths: Iterable[str]) -> dict[str, str]:
    """Return a JPEG in base64 for each path that can be had; the log says what cannot."""
    found = {}
    try:
        with RawArchive(archive_path) as archive:
            names = {member.path for member in archive.members}
            for path in paths:
                if path not in names:
                    continue  # removed from the data since
                try:
                    found[path], _ = small_jpeg(decode(archive.read(path)))
                except (ImageError, ArtifactError) as error:
                    log.warning("%s: no picture: %s", path, error)
    except ArtifactError as error:
        log.warning("no pictures in the page: %s, or dvc pull %s", error, archive_path)
    return found
