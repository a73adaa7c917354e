"""Golden files: images with the probabilities that a model must give for them, on any client.

A folder with the images' original bytes and `golden.json`, which any language can read:

    {"classes": ["cat", "dog"],
     "tolerance": {"fp32": 0.0001, "int8": 0.05},
     "images": [{"file": "00.jpg", "path": "cat/1.jpg", "sha256": "...", "probabilities": [...]}]}

A client that decodes, preprocesses and asks the model right comes within the tolerance of the
model's precision, which is written in its metadata.
"""

import argparse
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arguments import command_parser
from pipeline.core.atomic import replacing_folder, write_json
from pipeline.core.errors import ArtifactError
from pipeline.inference.classifier import OnnxClassifier, Probs
from pipeline.inference.providers import DEVICES

log = logging.getLogger(__name__)

INDEX = "golden.json"
FOLDER = "golden"
"""Where they lie, beside the model."""
LEVELS = 4
"""Folders up in which they are looked for: models/repository/classifier/1/model.onnx."""
FLAG = "--verify"
DEFAULT_PRECISION = "fp32"
SHOWN = 5
"""Images named in a message."""
CURE = "run: dvc repro export_onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenImage:
    """One image and what the model must say of it."""

    file: str
    """Name in the folder."""
    path: str
    """Name in data/raw.zip."""
    sha256: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """The folder, read and checked."""

    classes: tuple[str, ...]
    tolerance: dict[str, float]
    """Largest difference of a probability, by the precision of the model."""
    images: tuple[GoldenImage, ...]
    contents: tuple[bytes, ...]
    """The images' encoded bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """How a model, or a client of it, did on the golden files."""

    n: int
    tolerance: float
    max_prob_diff: float
    failed: tuple[str, ...]
    """Files whose probabilities are off by more than the tolerance."""


def write_golden(
    folder: Path,
    *,
    classes: Sequence[str],
    paths: Sequence[str],
    contents: Sequence[bytes],
    probs: NDArray[np.floating[Any]],
    tolerance: Mapping[str, float],
) -> None:
    """Write N images and their (N, K) probabilities, replacing the folder as a whole."""
    images = [
        GoldenImage(
            file=f"{index:02d}{PurePosixPath(path).suffix}",
            path=path,
            sha256=hashlib.sha256(content).hexdigest(),
            probabilities=tuple(round(float(p), 6) for p in row),
        )
        for index, (path, content, row) in enumerate(zip(paths, contents, probs, strict=True))
    ]
    with replacing_folder(folder) as temporary:
        for image, content in zip(images, contents, strict=True):
            (temporary / image.file).write_bytes(content)
        index = {
            "classes": list(classes),
            "tolerance": dict(tolerance),
            "images": [asdict(image) for image in images],
        }
        write_json(temporary / INDEX, index)


def read_golden(folder: Path) -> Golden:
    """Read what `write_golden` wrote.

    Raises:
        ArtifactError: a file is missing, malformed or not the one that was written.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        images = tuple(
            GoldenImage(**{**image, "probabilities": tuple(map(float, image["probabilities"]))})
            for image in index["images"]
        )
        contents = tuple((folder / Path(image.file).name).read_bytes() for image in images)
        golden = Golden(
            classes=tuple(map(str, index["classes"])),
            tolerance={str(key): float(value) for key, value in index["tolerance"].items()},
            images=images,
            contents=contents,
        )
    except OSError as error:
        raise ArtifactError(
            f"{error.filename}: cannot be read ({error.strerror}); {CURE}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder / INDEX}: malformed ({error!r}); {CURE}") from error
    for image, content in zip(images, contents, strict=True):
        if hashlib.sha256(content).hexdigest() != image.sha256:
            raise ArtifactError(f"{folder / image.file}: not the image that was written; {CURE}")
    if not images:
        raise ArtifactError(f"{folder / INDEX}: names no image; {CURE}")
    return golden


def replay(
    golden: Golden,
    predict: Callable[[Sequence[bytes]], Probs],
    *,
    precision: str = DEFAULT_PRECISION,
) -> Verification:
    """Ask for every image and compare.

    Args:
        golden: the folder.
        predict: returns the (N, K) probabilities of N encoded images, whichever way.
        precision: of the model that `predict` asks; says which tolerance holds.

    Raises:
        ArtifactError: there is no tolerance for the precision, or another number of classes.
    """
    if precision not in golden.tolerance:
        raise ArtifactError(
            f"{INDEX}: no tolerance for {precision}, it has {', '.join(golden.tolerance)}; {CURE}"
        )
    expected = np.array([image.probabilities for image in golden.images])
    found = np.asarray(predict(golden.contents))
    if found.shape != expected.shape:
        raise ArtifactError(
            f"{INDEX}: holds probabilities {expected.shape}, the model gives {found.shape}; {CURE}"
        )
    apart = np.abs(found - expected).max(axis=1)
    tolerance = golden.tolerance[precision]
    failed = np.flatnonzero(~(apart <= tolerance))  # also where it is not a number
    return Verification(
        n=len(golden.images),
        tolerance=tolerance,
        max_prob_diff=float(apart.max()),
        failed=tuple(golden.images[row].file for row in failed),
    )


def verify_classifier(classifier: OnnxClassifier, folder: Path) -> Verification:
    """Replay the golden files of `folder` through a loaded model.

    Raises:
        ArtifactError: they cannot be read, or are those of a model with other classes.
    """
    golden = read_golden(folder)
    if golden.classes != classifier.spec.classes:
        raise ArtifactError(
            f"{folder / INDEX}: classes are {', '.join(golden.classes)}, the model's are "
            f"{', '.join(classifier.spec.classes)}; copy both from one export"
        )
    precision = classifier.metadata.get("precision", DEFAULT_PRECISION)
    return replay(golden, classifier.predict_bytes, precision=precision)


def verify(model_path: Path, golden_path: Path, *, device: str = "auto") -> Verification:
    """Replay the golden files through a model file; errors as in `verify_classifier`."""
    return verify_classifier(OnnxClassifier(model_path, device=device), golden_path)


def require_verified(verification: Verification, *, where: str) -> None:
    """Check that every image came within the tolerance.

    Raises:
        ArtifactError: one did not.
    """
    if verification.failed:
        raise ArtifactError(
            f"{where}: {len(verification.failed)} of {verification.n} golden images differ, by up "
            f"to {verification.max_prob_diff:.2g}, tolerance {verification.tolerance:g}: "
            f"{', '.join(verification.failed[:SHOWN])}; not the model they were made with, or a "
            "device that computes otherwise"
        )


def main() -> None:
    """Replay the golden files through the model that the command line names."""
    parser = command_parser("pipeline.inference", description="Replay the golden files of a model.")
    add = parser.add_argument
    add(FLAG, metavar="MODEL", type=Path, required=True, dest="model", help="the .onnx file")
    add(
        "--golden",
        metavar="FOLDER",
        type=Path,
        help=f"the golden files (default: {FOLDER}/ beside the model, or up to three folders up)",
    )
    add("--device", choices=DEVICES, default="auto", help="as in batch prediction (%(default)s)")
    arguments: argparse.Namespace = parser.parse_args()
    folder = arguments.golden or default_folder(arguments.model)
    found = verify(arguments.model, folder, device=arguments.device)
    require_verified(found, where=str(arguments.model))
    log.info(
        "%s: %d golden images agree, largest difference of a probability %.2g, tolerance %g",
        *(arguments.model, found.n, found.max_prob_diff, found.tolerance),
    )


def default_folder(model_path: Path) -> Path:
    """Return the nearest folder of golden files beside the model or its parents."""
    places = [parent / FOLDER for parent in model_path.absolute().parents[:LEVELS]]
    return next((place for place in places if (place / INDEX).is_file()), places[0])
