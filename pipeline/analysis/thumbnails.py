"""Small copies of images, to be embedded in the page."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PIL import Image

from pipeline.core.archive import RawArchive
from pipeline.core.errors import ArtifactError, ImageError
from pipeline.evaluation.html import small_jpeg
from pipeline.imaging.decode import decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A JPEG in base64; the page defines it once, as `t<number>`, and may show it often."""

    number: int
    width: int
    height: int
    data: str


def thumbnails(
    archive: RawArchive, paths: Iterable[str], *, on_image: Callable[[int], None] = lambda n: None
) -> dict[str, Thumbnail]:
    """Return the thumbnail of each path, numbered in order; a repeated path is read once.

    Raises:
        ArtifactError: the archive lacks a path, or its bytes are no image.
    """
    found = {}
    for number, path in enumerate(dict.fromkeys(paths)):
        try:
            found[path] = thumbnail(decode(archive.read(path)), number=number)
        except ImageError as error:
            raise ArtifactError(
                f"data/raw.zip: {path}: {error}; run: dvc repro download split"
            ) from error
        on_image(1)
    return found


def thumbnail(image: Image.Image, *, number: int) -> Thumbnail:
    """Return a copy in the image's own proportions."""
    data, (width, height) = small_jpeg(image)
    return Thumbnail(number=number, width=width, height=height, data=data)
