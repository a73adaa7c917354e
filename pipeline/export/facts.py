"""What a model file says of its origin: data, code, checkpoint and figures."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.core.errors import ArtifactError
from pipeline.imaging.spec import ModelSpec

CODE = ("pipeline", "stages", "params.yaml", "dvc.yaml")
"""What decides on the results: a commit that touches none of it is no other revision."""
QUOTED = ("accuracy", "accuracy_low", "accuracy_high", "log_loss", "n")
"""Of reports/evaluate/metrics.json."""
CALIBRATION = ("temperature", "threshold")


def facts(
    spec: ModelSpec, *, metrics: Mapping[str, Any], hashes: Mapping[str, str], root: Path
) -> dict[str, str]:
    """Return the texts for the metadata; a value that is no text is JSON.

    Args:
        spec: of the checkpoint.
        metrics: of the test split.
        hashes: sha256 by name.
        root: the repository's top folder.
    """
    quoted = {name: metrics[name] for name in QUOTED if name in metrics}
    return {
        **hashes,
        "classes": json.dumps(spec.classes),
        "metrics": json.dumps({"split": "test", **quoted}, sort_keys=True),
        "revision": revision(root),
        "temperature": json.dumps(spec.temperature),
        "threshold": json.dumps(spec.threshold),
    }


def calibrated(spec: ModelSpec, metrics: Mapping[str, Any], *, where: Path) -> ModelSpec:
    """Return the spec with the temperature and the threshold of the metrics, if they have any.

    Raises:
        ArtifactError: they have values that cannot be meant.
    """
    temperature, threshold = (
        getattr(spec, name) if metrics.get(name) is None else metrics[name] for name in CALIBRATION
    )
    try:
        return replace(
            spec,
            temperature=float(temperature),
            threshold=None if threshold is None else float(threshold),
        )
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{where}: {error}; run: dvc repro evaluate") from error


def revision(root: Path) -> str:
    """Return the last Git commit that touched the code, `-dirty` if it was changed since.

    Not the current commit: committing what a run made would make the next run differ from it.
    """
    commit = _git(root, "log", "-1", "--format=%H", "--", *CODE)
    if not commit:
        return "unknown"
    return f"{commit}-dirty" if _git(root, "status", "--porcelain", "--", *CODE) else commit


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
    except OSError:  # no Git on this machine
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
