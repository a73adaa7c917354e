"""How a stage of dvc.yaml runs."""

import sys
from collections.abc import Callable
from pathlib import Path

import pipeline
from pipeline.core.errors import InstallationError
from pipeline.core.layout import Layout
from pipeline.core.params import Params, load_params
from pipeline.core.parent import end_with_dvc
from pipeline.core.process import guarded
from pipeline.core.seen import warn_of_changes, warn_of_weights


def run_stage(run: Callable[[Params, Layout], None]) -> None:
    """Run one stage in the current folder and leave the process.

    Exit status: 0 when done, 1 with one line on stderr for a `PipelineError`, 130 after Ctrl-C,
    143 after SIGTERM or when DVC was killed. Any other exception is a bug and keeps its traceback.
    """

    def main() -> None:
        check_working_tree()
        params = load_params()
        if stage != "download":  # which is about to bring it in
            warn_of_changes(params.data.sha256)
        if stage not in ("lr_find", "train"):  # which are about to read them
            warn_of_weights(params.model.weights)
        run(params, Layout())

    stage = Path(sys.argv[0]).stem
    end_with_dvc()
    sys.exit(guarded(main, name=stage))


def check_working_tree() -> None:
    """Check that the code that runs is the code in this folder.

    An editable install or PYTHONPATH would let a queued experiment run another tree's code.
    """
    imported = Path(pipeline.__file__ or "").resolve().parents[1]
    if imported != Path.cwd().resolve():
        raise InstallationError(
            f"pipeline was imported from {imported}, not from {Path.cwd()}; "
            "run `python -m stages.NAME` from the repository's top folder, "
            "without PYTHONPATH, PYTHONSAFEPATH or an editable install"
        )
