"""The metrics of the test split, checked against the predictions, and how numbers are written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pipeline.core.artifacts import EpochRecord, Predictions, read_json, read_records
from pipeline.core.errors import ArtifactError

REQUIRED = ("n", "accuracy", "accuracy_low", "accuracy_high", "log_loss", "ece", "brier")


@dataclass(frozen=True, slots=True)
class Figures:
    """metrics.json as it is: fractions in [0, 1], losses in nats."""

    content: Mapping[str, Any]

    def at(self, path: str) -> float | None:
        """Return the figure under a dotted path, `valid.accuracy`; None if there is none."""
        return self.under(*path.split("."))

    def under(self, *keys: str) -> float | None:
        """Return the figure under keys, which may hold any characters; None if there is none."""
        found: Any = self.content
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return None if isinstance(found, bool | str | Mapping) else found

    def has(self, key: str) -> bool:
        """Tell whether there is a part of that name."""
        return isinstance(self.content.get(key), Mapping)

    @property
    def tta(self) -> str | None:
        """The part with the figures of predictions averaged over views; None if not measured."""
        return next((key for key in self.content if key.endswith("_tta")), None)


def read_figures(path: Path, predictions: Predictions) -> Figures:
    """Read metrics.json and check that it is about these predictions.

    Raises:
        ArtifactError: the file is missing or malformed, or is of another evaluation.
    """
    content = read_json(path, stage="evaluate")
    try:
        _check(content)
        n, classes = int(content["n"]), set(content["per_class"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: malformed ({error!r}); run: dvc repro evaluate") from error
    if n != len(predictions.rows) or classes != set(predictions.classes):
        raise ArtifactError(
            f"{path}: n = {n} and {len(classes)} classes, the predictions have "
            f"{len(predictions.rows)} and {len(predictions.classes)}; run: dvc repro evaluate"
        )
    return Figures(content)


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


def figure(figures: Figures, *keys: str, form: str = "percent") -> Markup:
    """Return a figure of metrics.json as text that also carries its full value and its name.

    Args:
        figures: metrics.json.
        keys: one dotted path, or several keys.
        form: `percent`; `count`, a whole number; or `plain`, four digits.
    """
    value = figures.at(keys[0]) if len(keys) == 1 else figures.under(*keys)
    if value is None:
        return Markup("not defined")
    if form == "percent":
        text = percent(value)
    else:
        text = grouped(round(value)) if form == "count" else f"{value:.4f}"
    name = ".".join(keys)
    return Markup('<data value="{}" data-metric="{}">{}</data>').format(value, name, text)


def _check(content: Any) -> None:
    parts = [content, *(part for key, part in content.items() if key.endswith(("valid", "_tta")))]
    for part in parts:
        rows = part["per_class"].values()
        numbers = [float(part[key]) for key in REQUIRED] + [float(row["n"]) for row in rows]
        seen = [row for row in rows if row["n"]]  # without images a class has none of the others
        numbers += [float(row[key]) for row in seen for key in ("precision", "recall", "f1")]
        if not all(map(math.isfinite, numbers)):
            raise ValueError("a figure is not finite")
        if part["roc_auc"] is not None:
            float(part["roc_auc"])
