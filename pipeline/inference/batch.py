"""Many images, all cores, results in the order of the inputs."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipeline.core.errors import DataError
from pipeline.inference.classifier import OnnxClassifier, Probs
from pipeline.inference.inputs import Input

CHUNKS_AHEAD = 2
"""Chunks waiting per thread: enough to keep it busy while an earlier chunk is slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one input: probabilities or the reason why there are none."""

    path: str
    probs: Probs | None = None
    error: str = ""


def classify(
    classifier: OnnxClassifier, inputs: Iterable[Input], *, batch_size: int, threads: int
) -> Generator[Result, None, None]:
    """Yield one result per input, in order, in memory that does not grow with their number.

    Each thread reads, decodes and classifies a chunk of `batch_size` inputs by itself; Pillow and
    ONNX Runtime both give up the GIL.

    Raises:
        ArtifactError: the model fails; a bad image is a result with an error.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="classify")
    running: deque[Future[list[Result]]] = deque()
    try:
        for chunk in _chunks(inputs, batch_size):
            running.append(pool.submit(classify_chunk, classifier, chunk))
            if len(running) > CHUNKS_AHEAD * threads:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def classify_chunk(classifier: OnnxClassifier, inputs: Sequence[Input]) -> list[Result]:
    """Return one result per input, the usable ones having gone through the model together."""
    pixels, results = [], []
    for item in inputs:
        try:
            pixels.append(classifier.pixels(item.read()))
            results.append(Result(path=item.path))
        except DataError as error:
            results.append(Result(path=item.path, error=str(error)))
    if not pixels:
        return results
    probs = iter(classifier.predict(np.stack(pixels)))
    return [r if r.error else Result(path=r.path, probs=next(probs)) for r in results]


def _chunks(inputs: Iterable[Input], size: int) -> Iterator[list[Input]]:
    iterator = iter(inputs)
    while chunk := list(islice(iterator, size)):
        yield chunk
