"""What is wrong, and the command that cures it."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    where: str
    """A path relative to the repository's top folder, or a Git reference."""
    what: str
    cure: str
    """A shell command to run in the repository's top folder."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; run: {self.cure}"


def quoted(paths: Iterable[Path | str]) -> str:
    """Return paths as words of a shell command."""
    return " ".join(shlex.quote(str(path)) for path in paths)
