"""How a process starts, ends and fails."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core import process
from pipeline.core.errors import DataError, InstallationError
from pipeline.core.stage import check_working_tree


def run_code(code, **options):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, **options
    )


def test_a_failure_with_a_cure_is_one_line_and_status_1():
    run = run_code(
        "from pipeline.core.process import guarded\nfrom pipeline.core.errors import DataError\n"
        "def main(): raise DataError('first\\nsecond')\n"
        "raise SystemExit(guarded(main, name='split'))"
    )
    assert (run.returncode, run.stderr) == (1, "split: error: first second\n")


def test_a_bug_keeps_its_traceback():
    run = run_code(
        "from pipeline.core.process import guarded\n"
        "def main(): raise ZeroDivisionError\n"
        "raise SystemExit(guarded(main, name='split'))"
    )
    assert run.returncode == 1
    assert "Traceback" in run.stderr


def test_the_end_is_one_line_with_the_time_it_took():
    run = run_code(
        "from pipeline.core.process import guarded\n"
        "raise SystemExit(guarded(lambda: None, name='split'))"
    )
    assert run.returncode == 0
    assert run.stderr.startswith("INFO split: done in 0.")


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly(sent, status):
    child = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import time\nfrom pipeline.core.process import guarded\n"
            "def main(): print('ready', flush=True); time.sleep(60)\n"
            "raise SystemExit(guarded(main, name='split'))",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "ready\n"
    start = time.monotonic()
    os.kill(child.pid, sent)
    _, errors = child.communicate(timeout=10)
    assert child.returncode == status
    assert time.monotonic() - start < 5
    assert "Traceback" not in errors


def test_two_onnx_runtimes_are_refused_with_the_cure(tmp_path, monkeypatch):
    for name in ("onnxruntime", "onnxruntime_gpu"):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InstallationError, match=r"both installed .* pip uninstall -y onnxruntime"):
        process.check_installation()


def test_this_environment_has_one():
    process.check_installation()


def test_code_of_another_tree_is_refused(tmp_path, monkeypatch):
    check_working_tree()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InstallationError, match="pipeline was imported from"):
        check_working_tree()


def test_the_cores_are_those_this_process_may_use():
    assert 1 <= process.available_cores() <= (os.cpu_count() or 1)


def test_guarded_returns_the_status(capsys):
    def fail() -> None:
        raise DataError("x")

    before = signal.getsignal(signal.SIGTERM)
    try:
        assert process.guarded(fail, name="split") == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err == "split: error: x\n"


def test_a_stage_runs_only_from_the_top_folder(tmp_path):
    root = Path.cwd()
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r}); "
         "from pipeline.core.stage import run_stage; run_stage(lambda p, l: None)"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "run `python -m stages.NAME` from the repository's top folder" in run.stderr
