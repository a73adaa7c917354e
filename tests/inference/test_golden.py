"""Golden files, replayed through a model that was worked by hand."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from pipeline.core.errors import ArtifactError
from pipeline.inference.classifier import OnnxClassifier
from pipeline.inference.golden import (
    default_folder,
    read_golden,
    replay,
    require_verified,
    verify,
    write_golden,
)

SURE, REST = math.exp(3) / (math.exp(3) + 2), 1 / (math.exp(3) + 2)
CLASSES = ("blue", "green", "red")
EXPECTED = np.array([[REST, REST, SURE], [REST, SURE, REST]])


@pytest.fixture
def folder(model_path, draw):
    folder = model_path.parent / "golden"
    write_golden(
        folder,
        classes=CLASSES,
        paths=("red/a.png", "green/b.png"),
        contents=(draw((96, 0, 0)), draw((0, 96, 0))),
        probs=EXPECTED,
        tolerance={"fp32": 1e-4, "int8": 0.05},
    )
    return folder


def edit(folder, change):
    index = json.loads((folder / "golden.json").read_text())
    change(index)
    (folder / "golden.json").write_text(json.dumps(index))


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipeline.inference", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_files_are_the_original_bytes_and_an_index(folder, draw):
    assert sorted(p.name for p in folder.iterdir()) == ["00.png", "01.png", "golden.json"]
    assert (folder / "00.png").read_bytes() == draw((96, 0, 0))
    index = json.loads((folder / "golden.json").read_text())
    assert index["tolerance"] == {"fp32": 1e-4, "int8": 0.05}
    assert index["images"][1]["path"] == "green/b.png"
    assert index["images"][1]["probabilities"] == pytest.approx(EXPECTED[1], abs=1e-6)


def test_the_model_that_they_were_made_for_agrees(folder, model_path):
    found = verify(model_path, folder, device="cpu")
    assert (found.n, found.tolerance, found.failed) == (2, 1e-4, ())
    assert found.max_prob_diff < 2e-6
    require_verified(found, where="x")


def test_another_answer_is_told_by_name(folder, model_path):
    def change(index):
        index["images"][1]["probabilities"] = [REST, SURE - 0.01, REST + 0.01]

    edit(folder, change)
    found = verify(model_path, folder, device="cpu")
    assert found.failed == ("01.png",)
    assert found.max_prob_diff == pytest.approx(0.01, abs=1e-5)
    with pytest.raises(ArtifactError, match=r"m: 1 of 2 golden images differ, by up to 0\.01"):
        require_verified(found, where="m")


def test_any_client_can_be_asked_with_the_tolerance_of_its_precision(folder):
    golden = read_golden(folder)
    wrong = EXPECTED + np.array([[0.03, -0.03, 0], [0, 0, 0]])
    assert replay(golden, lambda contents: wrong).failed == ("00.png",)
    assert replay(golden, lambda contents: wrong, precision="int8").failed == ()
    assert replay(golden, lambda contents: wrong * np.nan).failed == ("00.png", "01.png")
    with pytest.raises(ArtifactError, match="no tolerance for fp16"):
        replay(golden, lambda contents: EXPECTED, precision="fp16")
    with pytest.raises(ArtifactError, match=r"holds probabilities \(2, 3\), .* \(2, 2\)"):
        replay(golden, lambda contents: EXPECTED[:, :2])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: (f / "01.png").unlink(), r"01\.png: cannot be read"),
        (lambda f: (f / "golden.json").unlink(), r"golden\.json: cannot be read"),
        (lambda f: (f / "golden.json").write_text("{"), r"golden\.json: malformed"),
        (lambda f: (f / "golden.json").write_text("[]"), r"golden\.json: malformed"),
        (lambda f: (f / "01.png").write_bytes(b"x"), r"01\.png: not the image"),
        (lambda f: edit(f, lambda i: i.update(images=[])), r"names no image"),
        (lambda f: edit(f, lambda i: i.update(classes=["a"])), r"classes are a, the model's are"),
    ],
)
def test_damage_is_told_in_one_line_that_names_the_stage(folder, model_path, damage, told):
    damage(folder)
    with pytest.raises(ArtifactError, match=told) as caught:
        verify(model_path, folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_name_in_the_index_never_leaves_the_folder(folder, model_path):
    (folder.parent / "secret.png").write_bytes(b"x")
    edit(folder, lambda index: index["images"][0].update(file="../secret.png"))
    with pytest.raises(ArtifactError, match="cannot be read"):
        verify(model_path, folder, device="cpu")


def test_they_are_found_beside_the_model_and_above_it(folder, model_path):
    assert default_folder(model_path) == folder
    deep = model_path.parent / "repository/classifier/1/model.onnx"
    assert default_folder(deep) == folder


def test_the_command_says_how_far_the_model_is(folder, model_path):
    done = command("--verify", model_path, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "2 golden images agree" in done.stderr
    edit(folder, lambda index: index["images"][0].update(probabilities=[1, 0, 0]))
    done = command("--verify", model_path, "--golden", folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "1 of 2 golden images differ" in done.stderr


def test_replaying_needs_no_training_package(folder, model_path):
    code = (
        "import pathlib, sys; from pipeline.inference.golden import verify; "
        "verify(*map(pathlib.Path, sys.argv[1:]), device='cpu'); "
        "print(*sorted({'torch', 'onnx', 'pandas', 'dvc', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model_path), str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []


def test_extra_outputs_are_named_and_metadata_is_there(model_path):
    classifier = OnnxClassifier(model_path, device="cpu")
    assert classifier.outputs == ("probabilities",)
    assert set(classifier.metadata) == {"spec"}
