"""One small run of the whole pipeline that many tests look at."""

import subprocess
from pathlib import Path

import pytest
from example_files import copy_clone
from tiny import RECORDER, TinyRun, copy_project

LONGEST = (
    *("test_experiments.py", "test_repro.py", "test_mending.py", "test_train_killed.py"),
    *("test_lesson.py", "test_docs.py", "test_kill.py", "test_new_user.py", "test_sanity.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes: one worker would have them when all else is done."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> TinyRun:
    """All nine stages on a small drawn set."""
    folder = tmp_path_factory.mktemp("tiny")
    recorder = folder / "recorder.py"
    recorder.write_text(RECORDER)
    run = TinyRun(copy_project(folder / "project"), recorder)
    for name in (
        *("download", "split", "pack", "lr_find"),
        *("train", "evaluate", "export_onnx", "report", "card"),
    ):
        run.run_recorded(name)
    return run


@pytest.fixture(scope="session")
def reproduced(tiny_run, tmp_path_factory) -> Path:
    """A Git repository in which that run is committed as `dvc repro` leaves it; to be copied."""
    root = copy_clone(tiny_run.root, tmp_path_factory.mktemp("reproduced") / "project")
    for command in (
        *(["git", "init", "-q", "-b", "main"], ["git", "config", "user.name", "Test"]),
        ["git", "config", "user.email", "test@example.invalid"],
        ["dvc", "commit", "-fq"],  # the stages did run; DVC was not there
        *(["git", "add", "-A"], ["git", "commit", "-qm", "first run"]),
    ):
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    return root
