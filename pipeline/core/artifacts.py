"""The records that stages hand to each other, with the one reader and writer of each format."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, TypeVar, get_type_hints

from pipeline.core.atomic import replacing, write_json
from pipeline.core.errors import ArtifactError

SPLITS = ("train", "valid", "test")
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One usable image; a row of data/split.csv."""

    path: str
    """Name in data/raw.zip."""
    label: str
    split: str
    sha256: str
    width: int
    height: int
    group: str
    """Images of one group are never divided between splits."""
    source: str
    """Name in the archive or folder that the user gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """One image refused or set aside; a row of data/rejected.csv."""

    path: str
    source: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The learning rate range test at one rate; a row of reports/lr_find/curve.csv."""

    lr: float
    loss: float
    """Smoothed mean over the fine sweeps, nats."""
    spread: float
    """Standard deviation over them, nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One step of one sweep of the range test; a row of reports/lr_find/sweeps.csv."""

    part: str
    """What was trained: `whole` network, or `head` with the body frozen."""
    sweep: int
    """0 is the coarse one, of the whole range; the fine ones follow."""
    lr: float
    loss: float
    """Of one batch, nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """What lr_find suggests."""

    lr: float
    """Peak rate for training the whole network."""
    status: str
    """`ok`, or why the curve has no answer: `noisy`, `flat`, `diverged`; then lr is the default."""
    head_lr: float | None = None
    """Peak rate while the body is frozen; None where it never is."""
    head_status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One epoch of training; a row of reports/train/history.csv."""

    epoch: int
    lr: float
    """Rate at the epoch's end."""
    size_px: int
    train_loss: float
    """Mean over the epoch's batches, augmented and smoothed, nats."""
    valid_loss: float
    """Cross-entropy of the plain validation images, nats."""
    valid_accuracy: float
    kept: bool
    """True on the epoch whose weights became the model."""
    overfitting: bool = False
    """True where validation got worse while training improved; see `overfitting_epochs`."""
    restart: bool = False
    """True where the schedule began anew, with another phase or cycle: the loss may rise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RocPoint:
    """One threshold of the ROC curve."""

    fpr: float
    tpr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """One bin of the reliability diagram; a row of reports/evaluate/reliability.csv."""

    version: str
    """`before` or `after` calibration."""
    low: float
    high: float
    """Confidences from `low` to below `high`; the last bin holds 1 as well."""
    confidence: float
    """Mean over the bin's images."""
    accuracy: float
    n: int
    """Images in the bin; bins without any have no row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPoint:
    """What one threshold would do; a row of reports/evaluate/risk_coverage.csv."""

    threshold: float
    """The least probability that is answered; predictions below are unsure."""
    coverage: float
    """Share of the images answered."""
    risk: float
    """Share of the answers that are wrong."""
    n: int
    """Images answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """Accuracy on a part of the test images; a row of reports/evaluate/slices.csv."""

    slice: str
    """What the images are parted by: `class`, `brightness`, `metadata.COLUMN`, ..."""
    value: str
    """Which part: a value, or the least and the largest value of a quartile, `12 to 80`."""
    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    """95 % interval (Wilson 1927)."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says about one image; a row of predictions.csv."""

    path: str
    label: str
    predicted: str
    loss: float
    """Cross-entropy, nats."""
    probs: tuple[float, ...]
    """One probability per class, in the order of `Predictions.classes`."""

    @property
    def confidence(self) -> float:
        """Probability of the predicted class."""
        return max(self.probs)


@dataclass(frozen=True, slots=True)
class Predictions:
    """All predictions of one split."""

    classes: tuple[str, ...]
    rows: tuple[Prediction, ...]


def write_records(path: Path, records: Sequence[Record], kind: type[Record]) -> None:
    """Write one CSV row per record, the columns being the fields of `kind`."""
    columns = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    write_csv(path, columns, ([_text(getattr(r, name)) for name in columns] for r in records))


def read_records(path: Path, kind: type[Record], *, stage: str) -> list[Record]:
    """Read what `write_records` wrote.

    Raises:
        ArtifactError: the file is missing or malformed; the message names the stage to run.
    """
    columns = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    records = []
    for line, row in _read_csv(path, columns, stage=stage):
        try:
            values = {c: _parsed(hints[c], text) for c, text in zip(columns, row, strict=True)}
        except ValueError as error:
            raise ArtifactError(f"{path}, line {line}: {error}; run: dvc repro {stage}") from error
        records.append(kind(**values))
    return records


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions.csv: path, label, predicted, loss and a probability per class."""
    columns = ["path", "label", "predicted", "loss", *map(prob_column, predictions.classes)]
    rows = (
        [r.path, r.label, r.predicted, f"{r.loss:.6f}", *(f"{p:.6f}" for p in r.probs)]
        for r in predictions.rows
    )
    write_csv(path, columns, rows)


def read_predictions(path: Path) -> Predictions:
    """Read predictions.csv; errors as in `read_records`."""
    header = _header(path, stage="evaluate")
    fixed = ["path", "label", "predicted", "loss"]
    if header[:4] != fixed or len(header) < 6:
        raise ArtifactError(f"{path}: columns are {header}; run: dvc repro evaluate")
    classes = tuple(column.removeprefix("prob_") for column in header[4:])
    rows = []
    for line, row in _read_csv(path, header, stage="evaluate"):
        try:
            numbers = tuple(map(float, row[3:]))
        except ValueError as error:
            raise ArtifactError(f"{path}, line {line}: {error}; run: dvc repro evaluate") from error
        rows.append(Prediction(row[0], row[1], row[2], numbers[0], numbers[1:]))
    return Predictions(classes, tuple(rows))


def prob_column(class_name: str) -> str:
    """Return the CSV column that holds the probability of a class."""
    return f"prob_{class_name}"


def write_suggestion(path: Path, suggestion: Suggestion) -> None:
    """Write suggestion.json."""
    write_json(path, asdict(suggestion))


def read_suggestion(path: Path) -> Suggestion:
    """Read suggestion.json.

    Raises:
        ArtifactError: the file is missing or malformed.
    """
    content = read_json(path, stage="lr_find")
    try:
        suggestion = Suggestion(**content)
    except TypeError as error:
        raise ArtifactError(f"{path}: {error}; run: dvc repro lr_find") from error
    for name, lr in (("lr", suggestion.lr), ("head_lr", suggestion.head_lr)):
        if lr is None and name == "head_lr":
            continue
        if not (isinstance(lr, float) and math.isfinite(lr) and lr > 0):
            raise ArtifactError(f"{path}: {name} is {lr!r}; run: dvc repro lr_find")
    return suggestion


def read_json(path: Path, *, stage: str) -> Any:
    """Read a JSON artifact.

    Raises:
        ArtifactError: the file is missing or not JSON; the message names the stage to run.
    """
    try:
        with _opened(path, stage=stage) as file:
            return json.load(file)
    except ValueError as error:
        raise ArtifactError(f"{path}: not JSON ({error}); run: dvc repro {stage}") from error


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file with Unix line ends, whole or not at all."""
    with replacing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        plain = csv.writer(text, lineterminator="\n")
        # A lone carriage return in a file name is not quoted by itself, and would end the row.
        quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in chain([columns], rows):
            (quoted if any("\r" in cell for cell in row) else plain).writerow(row)
        text.detach()


def remove_artifact(path: Path) -> None:
    """Remove what a stage wrote before, if anything.

    Raises:
        ArtifactError: the folder is not writable, or `path` is a folder.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be replaced: {error.strerror or error}") from error


def _read_csv(path: Path, columns: list[str], *, stage: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, row) pairs below a header that must equal `columns`."""
    with _opened(path, stage=stage) as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            if header != columns:
                raise ArtifactError(
                    f"{path}: columns are {','.join(header)}, expected {','.join(columns)}; "
                    f"run: dvc repro {stage}"
                )
            for row in reader:
                if len(row) != len(columns):
                    raise ArtifactError(
                        f"{path}, line {reader.line_num}: {len(row)} columns, "
                        f"expected {len(columns)}; run: dvc repro {stage}"
                    )
                yield reader.line_num, row
        except csv.Error as error:
            raise ArtifactError(
                f"{path}, line {reader.line_num}: {error}; run: dvc repro {stage}"
            ) from error


def _header(path: Path, *, stage: str) -> list[str]:
    with _opened(path, stage=stage) as file:
        return next(csv.reader(file), [])


@contextmanager
def _opened(path: Path, *, stage: str) -> Iterator[TextIO]:
    try:
        # newline="": a carriage return inside a quoted file name is part of the name.
        with path.open(encoding="utf-8", newline="") as file:
            yield file
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: not found; run: dvc repro {stage}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); run: dvc repro {stage}") from error


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _parsed(hint: Any, text: str) -> Any:
    if hint is bool:
        if text not in ("true", "false"):
            raise ValueError(f"expected true or false, found {text!r}")
        return text == "true"
    return hint(text)
