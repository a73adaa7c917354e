"""What somebody needs to get the same page: everything that is the same wherever it is made.

The page's bytes follow from its inputs and the locked packages alone. So it does not hold Git's
revision, which is not known yet when a run's results are committed, but what finds it: the checksum
under which dvc.lock names the model. Nor does it look at the machine that draws it; what the
training said of its own machine stands in reports/train/metrics.json.
"""

import hashlib
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.core.atomic import sha256_file

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "scikit-learn", "scipy", "dvc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the results on the page come from."""

    checksums: Mapping[str, str]
    """Sha256 by file name."""
    lock_checksum: str
    """Of the model, as dvc.lock writes it."""
    versions: Mapping[str, str]
    parameters: Mapping[str, Mapping[str, Any]]
    """Values by section and key."""
    training: Mapping[str, Any]
    """reports/train/metrics.json."""


def origin(
    files: list[Path],
    *,
    model: Path,
    parameters: Mapping[str, Mapping[str, Any]],
    training: Mapping[str, Any],
) -> Origin:
    """Return the facts; of locations in the parameters, passwords and queries are left out."""
    return Origin(
        checksums={path.name: sha256_file(path) for path in files},
        lock_checksum=_md5(model),
        versions={
            "Python": platform.python_version(),
            **{name: version(name).partition("+")[0] for name in PACKAGES},
        },
        parameters={
            name: {key: without_secrets(value) for key, value in section.items()}
            for name, section in parameters.items()
        },
        training=training,
    )


def without_secrets(value: Any) -> Any:
    """Return a value in which addresses have lost what may be a password or a token."""
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    if not isinstance(value, str) or "://" not in value:
        return value
    return re.sub(r"(?<=://)[^/@]*@", "", value).partition("?")[0]


def _md5(path: Path) -> str:
    # Not for safety: it is the name that dvc.lock and DVC's cache give to the file.
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
