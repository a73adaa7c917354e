"""Many images: order, refusals as results, bounded reading ahead, images that end a process."""

import ctypes
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import onnx
import pytest
from colour import colour_model

from pipeline.core.atomic import sha256_file, write_sha256
from pipeline.core.errors import ArtifactError
from pipeline.inference.batch import (
    HELD_BYTES,
    REASONS,
    Result,
    chunks,
    classify,
    classify_contents,
)
from pipeline.inference.classifier import OnnxClassifier
from pipeline.inference.inputs import Input, _read_file

Draw = Callable[..., bytes]


def held(path: str, content: bytes) -> Input:
    return Input(path, partial(bytes, content), len(content))


def classified(
    model_path: Path, inputs: list[Input] | Iterator[Input], *, size: int, workers: int = 2
) -> Iterator[Result]:
    model = OnnxClassifier(model_path, device="cpu")
    parts = chunks(inputs, size=size)
    for rows in classify(model, model_path, parts, workers=workers, sha256=sha256_file(model_path)):
        yield from rows


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_results_keep_the_order_of_the_inputs(model_path: Path, draw: Draw, size: int) -> None:
    colours = [(96, 0, 0), (0, 96, 0), (0, 0, 96)]
    inputs = [held(str(i), draw(colours[i % 3]) if i % 5 else b"bad") for i in range(60)]
    results = list(classified(model_path, inputs, size=size))
    assert [r.path for r in results] == [str(i) for i in range(60)]
    for i, result in enumerate(results):
        expected = ("not_an_image", -1) if i % 5 == 0 else ("", 2 - i % 3)  # blue, green, red
        assert (result.reason, result.label) == expected


def test_an_image_that_ends_its_process_costs_its_own_row_only(
    model_path: Path, draw: Draw
) -> None:
    inputs = [held(str(i), draw((96, 0, 0))) for i in range(6)]
    inputs[1] = Input("exit", partial(os._exit, 3))  # type: ignore[arg-type]
    inputs[4] = Input("segfault", partial(ctypes.string_at, 0))
    results = list(classified(model_path, inputs, size=3))
    assert [r.reason for r in results] == ["", "crashed", "", "", "crashed", ""]
    assert [r.path for r in results] == ["0", "exit", "2", "3", "segfault", "5"]
    assert "crashed" in REASONS


def test_an_input_that_cannot_be_read_is_a_result(model_path: Path, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.png")
    (result,) = classified(model_path, [Input(gone, partial(_read_file, gone))], size=4)
    assert (result.path, result.reason, result.probs) == (gone, "unreadable", ())
    assert "unreadable" in REASONS


def test_inputs_are_taken_only_a_little_ahead(model_path: Path, draw: Draw) -> None:
    taken = 0

    def endless() -> Iterator[Input]:
        nonlocal taken
        while True:
            taken += 1
            yield held(str(taken), draw((1, 2, 3)))

    results = classified(model_path, endless(), size=2)
    assert next(results).path == "1"
    results.close()  # type: ignore[attr-defined]
    assert taken < 2 * 4 * 2 * 2  # twice what workers, chunks ahead and their size come to


def test_large_contents_travel_in_small_chunks() -> None:
    large = Input("x", bytes, HELD_BYTES // 2)
    sizes = [len(part.inputs) for part in chunks([large] * 5, size=16)]
    assert sizes == [2, 2, 1]
    huge = Input("x", bytes, HELD_BYTES * 3)
    assert [len(part.inputs) for part in chunks([huge] * 2, size=16)] == [1, 1]
    small = Input("x", bytes)
    assert [len(part.inputs) for part in chunks([small] * 33, size=16)] == [16, 16, 1]


def test_a_model_that_changes_meanwhile_is_not_mixed_in(model_path: Path, draw: Draw) -> None:
    classifier, before = OnnxClassifier(model_path), sha256_file(model_path)
    other: onnx.ModelProto = colour_model()
    other.doc_string = "another"
    model_path.write_bytes(other.SerializeToString())
    write_sha256(model_path)
    parts = chunks([held("x", draw((1, 2, 3)))], size=1)
    with pytest.raises(ArtifactError, match="changed meanwhile"):
        list(classify(classifier, model_path, parts, workers=1, sha256=before))


def test_a_label_below_the_models_threshold_is_unsure(model_path: Path, draw: Draw) -> None:
    classifier = OnnxClassifier(model_path, device="cpu")
    contents = [("sure", draw((96, 0, 0))), ("unsure", draw((0, 0, 0))), ("bad", b"")]
    classifier.spec = replace(classifier.spec, threshold=0.9)  # e^3 / (e^3 + 2) = 0.909 and 1 / 3
    assert [r.unsure for r in classify_contents(classifier, contents)] == [False, True, False]
    classifier.spec = replace(classifier.spec, threshold=None)
    sure, unsure, bad = classify_contents(classifier, contents)
    assert not any((sure.unsure, unsure.unsure, bad.unsure))
    assert sure == replace(sure, reason="", probs=(0.045279, 0.045279, 0.909443))
    assert bad.reason == "empty"
