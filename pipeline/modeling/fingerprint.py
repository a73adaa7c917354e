"""The name of a training: two of one name give the same bytes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import pipeline
from pipeline.core.atomic import sha256_file
from pipeline.modeling.device import Compute
from pipeline.modeling.group import ALONE, Group

CODE = ("core", "imaging", "modeling", "packing", "pretrained")
"""The sub-packages that a training depends on, as dvc.yaml lists them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a result depends on beside the weights that it starts with."""

    settings: dict[str, Any]
    data: Sequence[Path]
    code: Sequence[Path]

    def key(self, start: dict[str, Tensor], **more: Any) -> str:
        """Return the fingerprint of what begins with the weights `start`, under `more` settings."""
        settings = {**self.settings, **more}
        return fingerprint(settings=settings, data=self.data, code=self.code, start=start)


def fingerprint(
    *, settings: dict[str, Any], data: Sequence[Path], code: Sequence[Path], start: Any
) -> str:
    """Return the name of a training: a sha256 of all that its result depends on.

    Args:
        settings: parameters, device, threads; anything that JSON can hold.
        data: files that are read, hashed whole: at 1 GB/s and more that is a small part of one
            epoch, while size and date would take a changed file for the same.
        code: Python files.
        start: state dict of the model before the first step; it stands for the file or the
            download that the weights came from.
    """
    parts = {
        "settings": settings,
        "data": [sha256_file(path) for path in data],
        "code": [sha256_file(path) for path in code],
        "start": _tensors_sha256(start),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def machine(compute: Compute, group: Group = ALONE) -> dict[str, Any]:
    """Return what a result's last bits depend on beside data, code and parameters."""
    return {
        "processes": group.size,
        "device": str(compute.device),
        "bf16": compute.bf16,
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def data_files(packed: Path) -> list[Path]:
    """Return the files of a packed folder that a training reads."""
    paths = sorted(packed.iterdir())
    return [path for path in paths if path.is_file() and not path.name.startswith("test.")]


def code_files(stage: str) -> list[Path]:
    """Return the stage's own file and those of the sub-packages that it depends on."""
    top = Path(pipeline.__file__ or "").parent
    return [Path(stage), *(path for name in CODE for path in sorted((top / name).rglob("*.py")))]


def _tensors_sha256(state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        values = tensor.detach().cpu().contiguous().flatten()
        digest.update(values.view(torch.uint8).numpy().data if values.numel() else b"")
    return digest.hexdigest()
