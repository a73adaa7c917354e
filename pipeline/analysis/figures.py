"""The metrics of the test split, checked against the predictions, and how numbers are written."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.artifacts import EpochRecord, Predictions, read_json, read_records
from pipeline.core.errors import ArtifactError

REQUIRED = ("n", "accuracy", "accuracy_low", "accuracy_high", "log_loss", "ece", "brier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """metrics.json as it is: fractions in [0, 1], losses in nats."""

    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    log_loss: float
    ece: float
    brier: float
    roc_auc: float | None
    flip_accuracy: float | None
    """Accuracy of predictions averaged over the mirrored image; None if it was not measured."""
    per_class: dict[str, dict[str, float]]


def read_figures(path: Path, predictions: Predictions) -> Figures:
    """Read metrics.json and check that it is about these predictions.

    Raises:
        ArtifactError: the file is missing or malformed, or is of another evaluation.
    """
    content = read_json(path, stage="evaluate")
    try:
        figures = _parsed(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: malformed ({error!r}); run: dvc repro evaluate") from error
    if figures.n != len(predictions.rows) or set(figures.per_class) != set(predictions.classes):
        raise ArtifactError(
            f"{path}: n = {figures.n} and {len(figures.per_class)} classes, the predictions have "
            f"{len(predictions.rows)} and {len(predictions.classes)}; run: dvc repro evaluate"
        )
    return figures


def check_predictions(predictions: Predictions, *, classes: tuple[str, ...], where: Path) -> None:
    """Check that the predictions are those of a model of these classes.

    Raises:
        ArtifactError: there is none, or a class is not the model's.
    """
    names = {row.label for row in predictions.rows} | {row.predicted for row in predictions.rows}
    if not names or predictions.classes != classes or not names <= set(classes):
        raise ArtifactError(
            f"{where}: {len(predictions.rows)} rows of classes {', '.join(predictions.classes)}; "
            f"the model's are {', '.join(classes)}; run: dvc repro evaluate"
        )


def read_history(path: Path) -> list[EpochRecord]:
    """Read history.csv.

    Raises:
        ArtifactError: the file is missing or malformed, or has no epoch.
    """
    history = read_records(path, EpochRecord, stage="train")
    if not history:
        raise ArtifactError(f"{path}: no epochs; run: dvc repro train")
    return history


def percent(fraction: float) -> str:
    """Return a fraction in percent, with two digits: 0.98512 is `98.51 %`."""
    return f"{100 * fraction:.2f}\N{NO-BREAK SPACE}%"


def grouped(number: int) -> str:
    """Return a whole number with its thousands apart: 12345 is `12,345`."""
    return f"{number:,}"


def _parsed(content: Any) -> Figures:
    numbers = {key: float(content[key]) for key in REQUIRED if key != "n"}
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError("a figure is not finite")
    per_class = {
        str(name): {key: float(row[key]) for key in ("precision", "recall", "f1", "n")}
        for name, row in content["per_class"].items()
    }
    auc, flip = content["roc_auc"], content.get("flip_tta")
    return Figures(
        n=int(content["n"]),
        roc_auc=None if auc is None else float(auc),
        flip_accuracy=None if flip is None else float(flip["accuracy"]),
        per_class=per_class,
        **numbers,
    )
