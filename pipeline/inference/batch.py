"""Many images, all cores, results in the order of the inputs.

Processes, not threads: an image that crashes its decoder costs one row and not the run, and the
part of the work that holds Python's lock does not grow with the number of cores.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.core.errors import ArtifactError, DataError, ImageError
from pipeline.core.workers import supervised_map
from pipeline.imaging.decode import REASONS as IMAGE_REASONS
from pipeline.imaging.preprocess import Pixels, pixels_from_bytes
from pipeline.imaging.spec import PreprocessSpec
from pipeline.inference.classifier import OnnxClassifier
from pipeline.inference.inputs import Input
from pipeline.inference.providers import CPU

T = TypeVar("T")

REASONS = (*IMAGE_REASONS, "unreadable", "crashed")
"""Why an input has no prediction: the gate's reasons; its bytes cannot be read; its decoder ends
the process or does not end, twice."""

DIGITS = 6
"""Of a probability, as in predictions.csv."""
HELD_BYTES = 8 * 2**20
"""Content that travels with one chunk, unless one image has more."""
PATIENCE_S = 120.0
"""Of a chunk; the largest image of the gate takes about a second."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one input: probabilities, or the reason why there are none."""

    path: str
    reason: str = ""
    label: int = -1
    """Index of the most likely class."""
    unsure: bool = False
    """The label's probability lies below the model's own threshold."""
    probs: tuple[float, ...] = ()
    """One per class, rounded to DIGITS."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive inputs that go through the model together."""

    inputs: tuple[Input, ...]

    @property
    def path(self) -> str:
        """What messages call it."""
        return self.inputs[0].path


@dataclass(frozen=True, slots=True)
class Decoded:
    """The pixels of those inputs of a chunk that are usable, and why the others are not."""

    paths: tuple[str, ...]
    reasons: tuple[str, ...]
    """Empty for a usable one."""
    pixels: Pixels
    """(M, S, S, 3), M the number of usable ones."""


def chunks(inputs: Iterable[Input], *, size: int) -> Iterator[Chunk]:
    """Yield the inputs in chunks of `size`, fewer where their content is large."""
    found: list[Input] = []
    held = 0
    for item in inputs:
        if found and (len(found) == size or held + item.held_bytes > HELD_BYTES):
            yield Chunk(tuple(found))
            found, held = [], 0
        found.append(item)
        held += item.held_bytes
    if found:
        yield Chunk(tuple(found))


def classify(
    classifier: OnnxClassifier,
    model_path: Path,
    parts: Iterable[Chunk],
    *,
    workers: int,
    sha256: str,
) -> Generator[list[Result], None, None]:
    """Yield the results of each chunk, in order, in memory that does not grow with their number.

    On a CPU each of the processes reads, decodes and classifies by itself. A GPU is asked from this
    process alone, which then holds the only copy of the model; the others decode.

    Args:
        classifier: the model, as loaded in this process.
        model_path: where it was loaded from.
        parts: what to classify.
        workers: processes.
        sha256: of the model; a process that finds another file there refuses to mix the two.

    Raises:
        ArtifactError: the model fails or has changed; a bad image is a result with a reason.
    """
    if classifier.provider == CPU:
        work = partial(_classify_in_process, str(model_path), sha256)
        yield from _mapped(work, _no_result, parts, workers)
        return
    decode = partial(_decode_in_process, classifier.spec.preprocess)
    for decoded in _mapped(decode, _no_pixels, parts, workers):
        yield [result for part in decoded for result in answer(classifier, part)]


def decode_inputs(spec: PreprocessSpec, inputs: Sequence[Input]) -> Decoded:
    """Read, decode and preprocess; an input that is of no use gets its reason."""
    pixels, reasons = [], []
    for item in inputs:
        try:
            pixels.append(pixels_from_bytes(item.read(), spec))
            reasons.append("")
        except ImageError as error:
            reasons.append(error.reason)
        except DataError:
            reasons.append("unreadable")
    shape = (0, spec.size_px, spec.size_px, 3)
    stacked = np.stack(pixels) if pixels else np.zeros(shape, np.uint8)
    return Decoded(tuple(item.path for item in inputs), tuple(reasons), stacked)


def answer(classifier: OnnxClassifier, decoded: Decoded) -> list[Result]:
    """Return one result per input, the usable ones having gone through the model together."""
    if not len(decoded.pixels):
        return [Result(p, r) for p, r in zip(decoded.paths, decoded.reasons, strict=True)]
    threshold = classifier.spec.threshold
    rows = iter(classifier.predict(decoded.pixels).tolist())
    results = []
    for path, reason in zip(decoded.paths, decoded.reasons, strict=True):
        if reason:
            results.append(Result(path, reason))
            continue
        probs = next(rows)
        confidence = max(probs)
        unsure = threshold is not None and confidence < threshold
        rounded = tuple(round(p, DIGITS) for p in probs)
        results.append(Result(path, "", probs.index(confidence), unsure, rounded))
    return results


def classify_contents(
    classifier: OnnxClassifier, named: Iterable[tuple[str, bytes]]
) -> list[Result]:
    """Return the result of each (path, content) pair, all in one call of the model.

    What batch prediction does with a chunk, for those who bring the bytes from elsewhere.
    """
    inputs = [Input(path, partial(bytes, content)) for path, content in named]
    return answer(classifier, decode_inputs(classifier.spec.preprocess, inputs))


def _mapped(
    work: Callable[[Chunk], list[T]],
    crashed: Callable[[Chunk, str], list[T]],
    parts: Iterable[Chunk],
    workers: int,
) -> Iterator[list[T]]:
    lost = partial(_one_by_one, work, crashed)
    return supervised_map(
        work, parts, workers=workers, lost=lost, chunk_items=1, patience_s=PATIENCE_S
    )


def _one_by_one(
    work: Callable[[Chunk], list[T]],
    crashed: Callable[[Chunk, str], list[T]],
    chunk: Chunk,
    why: str,
) -> list[T]:
    """Find the input that ends the process by trying each by itself."""
    singles = [Chunk((item,)) for item in chunk.inputs]
    return [
        found
        for results in supervised_map(work, singles, workers=1, lost=crashed, chunk_items=1)
        for found in results
    ]


def _no_result(chunk: Chunk, why: str) -> list[Result]:
    return [Result(item.path, "crashed") for item in chunk.inputs]


def _no_pixels(chunk: Chunk, why: str) -> list[Decoded]:
    nothing = np.zeros((0, 1, 1, 3), np.uint8)
    return [Decoded((item.path,), ("crashed",), nothing) for item in chunk.inputs]


def _decode_in_process(spec: PreprocessSpec, chunk: Chunk) -> list[Decoded]:
    return [decode_inputs(spec, chunk.inputs)]


def _classify_in_process(model_path: str, sha256: str, chunk: Chunk) -> list[Result]:
    classifier = _loaded(model_path, sha256)
    return answer(classifier, decode_inputs(classifier.spec.preprocess, chunk.inputs))


@lru_cache(maxsize=1)
def _loaded(model_path: str, sha256: str) -> OnnxClassifier:
    classifier = OnnxClassifier(Path(model_path), device="cpu")
    if classifier.sha256 != sha256:
        raise ArtifactError(f"{model_path}: it changed meanwhile; run the same command again")
    return classifier
