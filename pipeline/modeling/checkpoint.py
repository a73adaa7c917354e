"""models/model.pt: weights and ModelSpec, proved by a checksum, loaded without running code."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.core.atomic import check_sha256, write_bytes, write_sha256
from pipeline.core.errors import ArtifactError, ParamsError
from pipeline.imaging.spec import ModelSpec, spec_from_json
from pipeline.modeling.zoo import Classifier, build_model


def save_checkpoint(path: Path, *, weights: dict[str, Tensor], spec: ModelSpec) -> None:
    """Write a checkpoint and its `.sha256`."""
    buffer = io.BytesIO()  # torch.save's bytes depend on the name of the file that it writes to
    torch.save({"spec": spec.to_json(), "state": weights}, buffer)
    write_bytes(path, buffer.getvalue())
    write_sha256(path)


def load_checkpoint(path: Path) -> tuple[Classifier, ModelSpec]:
    """Return the network in evaluation mode on the CPU, and its spec.

    Raises:
        ArtifactError: the file is missing, damaged or not a checkpoint of this pipeline.
    """
    check_sha256(path, stage="train")
    content = _read(path)
    spec = spec_from_json(content["spec"], where=str(path))
    try:
        model = build_model(spec.arch, n_classes=len(spec.classes), preprocess=spec.preprocess)
        model.load_state_dict(content["state"])
    except (RuntimeError, TypeError, ParamsError) as error:
        detail = " ".join(str(error).split())[:300]
        raise ArtifactError(
            f"{path}: weights do not fit {spec.arch}: {detail}; run: dvc repro train"
        ) from error
    return model.eval(), spec


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # the restricted unpickler raises many types on damaged or hostile files
        raise ArtifactError(
            f"{path}: not a checkpoint ({type(error).__name__}); run: dvc repro train"
        ) from error
    if not isinstance(content, dict) or not {"spec", "state"} <= content.keys():
        raise ArtifactError(f"{path}: not a checkpoint of this pipeline; run: dvc repro train")
    return content
