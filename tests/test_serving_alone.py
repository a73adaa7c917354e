"""Batch prediction and server run with what requirements-serve.txt installs, and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# Denies every module that no distribution of the small lock owns; the standard library and our own
# packages pass. The two ONNX Runtimes own the same module.
GUARD = """
import importlib.metadata as metadata, sys
allowed = set(sys.argv.pop(1).split(","))
owners = metadata.packages_distributions()
class Denied:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        names = {d.lower().replace("_", "-").replace("-gpu", "") for d in owners.get(top, [])}
        if names and not names & allowed:
            raise ModuleNotFoundError(f"{top} is not in requirements-serve.txt")
        return None
sys.meta_path.insert(0, Denied())
import runpy
sys.path.insert(0, "")
target = sys.argv.pop(1)
sys.argv[0] = target
runpy.run_module(target, run_name="__main__", alter_sys=True)
"""


def locked() -> set[str]:
    text = Path("requirements-serve.txt").read_text()
    return {name.lower().replace("_", "-") for name in re.findall(r"(?m)^([\w.-]+)==", text)}


def run_alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GUARD, ",".join(sorted(locked())), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_guard_denies_torch():
    run = run_alone("torch")
    assert "torch is not in requirements-serve.txt" in run.stderr


def test_the_small_lock_is_small_and_has_no_torch_and_no_dvc():
    assert not {"torch", "torchvision", "dvc", "pandas", "pyyaml", "onnxruntime-gpu"} & locked()
    assert {"onnxruntime", "pillow", "numpy", "starlette", "uvicorn"} <= locked()
    assert len(locked()) < 25


def test_batch_prediction_needs_nothing_else(tiny_run, tmp_path):
    out = tmp_path / "out.csv"
    run = run_alone(
        *("pipeline.inference", str(tiny_run.root / "models/model.onnx")),
        *(str(tiny_run.root / "data/raw.zip"), "--out", str(out)),
    )
    assert run.returncode == 0, run.stderr
    assert len(out.read_text().splitlines()) == 151  # a header, and a row for each of 150 members


def test_the_server_needs_nothing_else(tiny_run):
    run = run_alone("pipeline.serving", "--help")
    assert run.returncode == 0, run.stderr
    run = run_alone("pipeline.serving", "--model", str(tiny_run.root / "missing.onnx"))
    assert run.returncode == 1
    assert "missing.onnx" in run.stderr
    assert "Traceback" not in run.stderr
