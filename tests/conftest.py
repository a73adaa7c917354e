"""One small run of the whole pipeline that many tests look at."""

import pytest
from tiny import RECORDER, TinyRun, copy_project


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
