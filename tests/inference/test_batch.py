"""Many images: order, errors as results, bounded reading ahead."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pipeline.core.errors import DataError
from pipeline.inference.batch import classify
from pipeline.inference.classifier import OnnxClassifier
from pipeline.inference.inputs import Input


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_results_keep_the_order_of_the_inputs(
    model_path: Path, draw: Callable[..., bytes], batch_size: int
) -> None:
    colours = [(96, 0, 0), (0, 96, 0), (0, 0, 96)]
    contents = [draw(colours[i % 3]) if i % 5 else b"bad" for i in range(60)]
    inputs = [Input(str(i), partial(bytes, content)) for i, content in enumerate(contents)]
    results = list(classify(OnnxClassifier(model_path), inputs, batch_size=batch_size, threads=3))
    assert [r.path for r in results] == [str(i) for i in range(60)]
    for i, result in enumerate(results):
        if i % 5 == 0:
            assert result.probs is None
            assert result.error.startswith("not_an_image")
        else:
            assert result.probs is not None
            assert int(result.probs.argmax()) == 2 - i % 3  # blue, green, red
            assert result.error == ""


def test_an_input_that_cannot_be_read_is_a_result(model_path: Path) -> None:
    def fail() -> bytes:
        raise DataError("cannot be read: gone")

    results = list(
        classify(OnnxClassifier(model_path), [Input("x", fail)], batch_size=4, threads=1)
    )
    assert [(r.path, r.probs, r.error) for r in results] == [("x", None, "cannot be read: gone")]


def test_inputs_are_taken_only_a_little_ahead(model_path: Path, draw: Callable[..., bytes]) -> None:
    taken = 0

    def endless() -> Iterator[Input]:
        nonlocal taken
        while True:
            taken += 1
            yield Input(str(taken), lambda: draw((1, 2, 3)))

    results = classify(OnnxClassifier(model_path), endless(), batch_size=2, threads=2)
    assert next(results).path == "1"
    results.close()
    assert taken <= 2 * (2 * 2 + 1)
