"""DVC's cache: where it is, and what lies in it."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import ArtifactError
from pipeline.verify.digests import Digests
from pipeline.verify.finding import Finding, quoted

OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")
PREFIX = re.compile(r"[0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The cache of one repository, and whether there is a remote behind it."""

    folder: Path
    has_remote: bool

    def path(self, md5: str) -> Path:
        """Return where an object lies; DVC names it by its hash."""
        return self.folder / "files/md5" / md5[:2] / md5[2:]

    def objects(self) -> list[Path]:
        """Return every object."""
        found = (self.folder / "files/md5").glob("*/*")
        return sorted(
            p for p in found if OBJECT.fullmatch(p.name) and PREFIX.fullmatch(p.parent.name)
        )

    def leftovers(self) -> list[Path]:
        """Return what DVC was writing when it was killed."""
        return sorted((self.folder / "files/md5").glob("*/*.tmp"))


def find_cache(root: Path) -> Cache:
    """Read DVC's configuration.

    Raises:
        ArtifactError: it cannot be read.
    """
    from dvc.config import Config, ConfigError  # takes a third of a second

    try:
        config = Config(str(root / ".dvc"))
    except (ConfigError, OSError) as error:
        raise ArtifactError(
            f".dvc/config: {' '.join(str(error).split())}; run: git checkout HEAD -- .dvc/config"
        ) from error
    folder = config["cache"].get("dir")
    return Cache(
        folder=Path(folder) if folder else root / ".dvc/cache",
        has_remote=bool(config["core"].get("remote")),
    )


def digest_named(path: Path) -> str:
    """Return the md5 that an object's name says."""
    return path.parent.name + path.name


def is_sound(path: Path, digests: Digests) -> bool:
    """Tell whether an object is there and is what its name says."""
    return digests[path] == digest_named(path).removesuffix(".dir")


def listing(path: Path) -> dict[Path, str]:
    """Return {path in the folder: md5} of a sound object that lists a folder."""
    return {Path(file["relpath"]): file["md5"] for file in json.loads(path.read_bytes())}


def damaged_objects(
    objects: Iterable[Path], digests: Digests, *, known: set[Path]
) -> Iterator[Finding]:
    """Yield the objects that are not what their names say.

    Args:
        objects: those to look at.
        digests: their md5.
        known: objects that another finding names already.
    """
    for path in objects:
        if path not in known and not is_sound(path, digests):
            yield Finding(
                where=str(path),
                what="damaged, and DVC would use it: it belongs to another commit or experiment, "
                "which dvc pull or dvc repro brings back where it is wanted",
                cure=f"rm -f {quoted([path])}",
            )
