"""Checkpoints from which a killed training goes on; they lie outside DVC's outs, in `.ckpt/`.

DVC removes outs before a stage runs, and an out that persists would outlive a change of parameters
and switch off the run cache. So a training keeps its checkpoints in a folder named by everything
that its result depends on, and removes it when it is done.
"""

import hashlib
import io
import logging
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from pipeline.core.atomic import write_bytes
from pipeline.core.errors import ArtifactError
from pipeline.core.locks import try_lock

log = logging.getLogger(__name__)

KEPT = 2
"""Checkpoints of one training: if the newest was torn by a power cut, the one before is whole."""
OTHERS_KEPT = 4
"""Folders of trainings that were killed and never went on; older ones are removed."""
NAME = re.compile(r"(?P<label>[0-9]+-[0-9]+)-(?P<sha256>[0-9a-f]{64})\.pt")


class Checkpoints:
    """The checkpoints in one folder, each named by its place in the training and its sha256.

    The checksum is in the name, so that one rename brings both; a checkpoint is never without it.
    """

    def __init__(self, folder: Path, *, kept: int = KEPT) -> None:
        self.folder, self._kept = folder, kept

    def save(self, state: dict[str, Any], *, epoch: int, step: int) -> None:
        """Write a checkpoint, whole or not at all; then remove all but the newest.

        Raises:
            ArtifactError: it cannot be written; the older ones are still there.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        digest = hashlib.sha256(content).hexdigest()
        write_bytes(self.folder / f"{epoch:06d}-{step:09d}-{digest}.pt", content)
        for path in self._found()[self._kept :]:
            path.unlink(missing_ok=True)

    def load(self, *, device: torch.device) -> dict[str, Any] | None:
        """Return the newest checkpoint that is whole; None if there is none.

        A damaged one costs a line of warning and is removed.
        """
        for path in self._found():
            try:
                return self._read(path, device)
            except ArtifactError as error:
                log.warning("%s; it is left out and the one before is used", error)
                path.unlink(missing_ok=True)
        return None

    def clear(self) -> None:
        """Remove every checkpoint."""
        for path in self._found():
            path.unlink(missing_ok=True)

    def _found(self) -> list[Path]:
        """Return the checkpoints, newest first."""
        paths = self.folder.glob("*.pt") if self.folder.is_dir() else ()
        return sorted((p for p in paths if NAME.fullmatch(p.name)), reverse=True)

    def _read(self, path: Path, device: torch.device) -> dict[str, Any]:
        match = NAME.fullmatch(path.name)
        assert match is not None
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read ({error.strerror or error})") from error
        if hashlib.sha256(content).hexdigest() != match["sha256"]:
            raise ArtifactError(f"{path}: damaged, its sha256 is another than its name says")
        try:
            state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        except Exception as error:  # the restricted unpickler raises many types
            raise ArtifactError(f"{path}: not a checkpoint ({type(error).__name__})") from error
        if not isinstance(state, dict):
            raise ArtifactError(f"{path}: not a checkpoint")
        return state


def checkpoint_root(root: Path) -> Path:
    """Return where checkpoints lie: in the repository that a queued experiment came from.

    DVC runs a queued experiment in a copy of the repository, which is gone when it was killed.
    """
    return Path(os.environ.get("DVC_ROOT") or root) / ".ckpt"


def remove_folder(folder: Path) -> None:
    """Remove a held folder and those above it that are empty now, up to `.ckpt`."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # not empty: of another training
        folder.parent.rmdir()
        folder.parent.parent.rmdir()


def remove_others(folder: Path, *, kept: int = OTHERS_KEPT) -> None:
    """Remove the siblings of `folder` that nobody holds, all but the `kept` newest."""
    others = [p for p in folder.parent.iterdir() if p.is_dir() and p != folder]
    for other in sorted(others, key=_modified, reverse=True)[kept:]:
        with suppress(ArtifactError):
            if (descriptor := try_lock(other, for_sure=True)) is not None:
                shutil.rmtree(other, ignore_errors=True)
                os.close(descriptor)


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
