"""One image on its way from data/raw.zip into data/packed, checked against split.csv."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.archive import Place, read_place
from pipeline.core.errors import DataError


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """A row of data/split.csv, and where its bytes lie."""

    place: Place
    sha256: str

    @property
    def path(self) -> str:
        """Name in data/raw.zip."""
        return self.place.path


def read_image(archive_path: Path, image: PlacedImage) -> bytes:
    """Return the bytes that split judged.

    Raises:
        DataError: they are others now.
        ArtifactError: the archive cannot be read.
    """
    content = read_place(archive_path, image.place)
    if hashlib.sha256(content).hexdigest() != image.sha256:
        raise DataError(
            f"{image.path}: its bytes in {archive_path} are not those that split judged; "
            "run: dvc repro split"
        )
    return content
