"""DVC and the pipeline together: no-op, run cache, determinism, experiments, rebuilds."""

import json
import time

import pytest
from clones import Clone, make_clone

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    clone = make_clone(tmp_path_factory.mktemp("clone") / "with space")
    clone.run("dvc", "repro")
    clone.commit("first run")
    return clone


def test_a_second_repro_runs_nothing_and_leaves_git_clean(clone):
    assert "Data and pipelines are up to date" in clone.run("dvc", "repro")
    assert clone.run("git", "status", "--porcelain") == ""


def test_forcing_every_stage_gives_the_same_lock_to_the_byte(clone):
    before = clone.lock()
    clone.run("dvc", "repro", "-f")
    assert clone.lock() == before
    assert clone.run("git", "status", "--porcelain") == ""


def test_a_change_re_runs_what_depends_on_it_and_nothing_else(clone):
    for path, stages in {
        "pipeline/serving/app.py": set(),
        "pipeline/analysis/page.py": {"report"},
        "pipeline/evaluation/metrics.py": {
            "evaluate",
            "report",
            "card",
        },  # which give shares an interval
        "pipeline/inference/classifier.py": {"export_onnx", "card"},
        "pipeline/sources/fetch.py": {"download", "card"},  # which draws scenes too
    }.items():
        clone.edit(path)
        assert clone.stale() == stages, path
        clone.run("git", "checkout", "-q", path)


def test_a_rate_tried_before_is_answered_by_the_run_cache(clone):
    clone.run("dvc", "exp", "run", "train", "-S", "train.lr=0.01")
    clone.run("dvc", "exp", "run", "train", "-S", "train.lr=0.02")
    output = clone.run("dvc", "exp", "run", "train", "-S", "train.lr=0.01")
    assert "Stage 'train' is cached - skipping run" in output
    assert "Running stage 'train'" not in output
    assert "Running stage 'lr_find'" not in output
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "checkout")


def test_queued_experiments_run_their_own_code_and_parameters(clone):
    # Both write a mark of their code into the metrics; the second is queued from other code.
    metrics = clone.root / "stages/train.py"
    original = metrics.read_text()
    for mark, epochs in (("red", 1), ("blue", 3)):
        metrics.write_text(original.replace('"epochs": len', f'"code": "{mark}", "epochs": len'))
        clone.run(
            *("dvc", "exp", "run", "--queue", "train", "-n", mark, "-S", f"train.epochs={epochs}"),
            *("-S", "runtime.threads=1"),
        )
    metrics.write_text(original)
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "queue", "start", "-j", "2")
    deadline = time.monotonic() + 240
    while (status := clone.run("dvc", "queue", "status")).count("Success") < 2:
        assert "Failed" not in status, status
        assert time.monotonic() < deadline, status
        time.sleep(2)
    clone.end_workers()
    for mark, epochs in (("red", 1), ("blue", 3)):
        found = json.loads(metrics_of(clone, mark))
        assert (found["code"], found["epochs"]) == (mark, epochs)


def metrics_of(clone: Clone, name: str) -> str:
    """Return the train metrics of an experiment."""
    refs = clone.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    (ref,) = [ref for ref in refs if ref.endswith(f"/{name}")]
    return clone.run("git", "show", f"{ref}:reports/train/metrics.json")


def test_show_diff_and_plots_say_something_useful(clone):
    shown = clone.run("dvc", "exp", "show", "--csv")
    assert "accuracy" in shown
    assert "train.lr" in shown
    clone.run("dvc", "exp", "run", "evaluate", "-S", "train.lr=0.005")
    diff = json.loads(clone.run("dvc", "metrics", "diff", "--json"))
    assert "valid_loss" in diff["reports/train/metrics.json"]
    params = json.loads(clone.run("dvc", "params", "diff", "--json"))
    assert params["params.yaml"]["train.lr"]["new"] == 0.005
    plots = json.loads(clone.run("dvc", "plots", "diff", "--json"))["data"]
    assert set(plots) == {
        *("loss", "accuracy", "learning_rate", "roc", "confusion", "reliability", "risk_coverage")
    }
    for plot in (drawn for (drawn,) in plots.values()):
        assert plot["revisions"] == ["workspace", "HEAD"]
        assert plot["content"]["data"]["values"]
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "checkout")


def test_a_wrong_parameter_stops_before_anything_runs_with_one_line(clone):
    output = clone.run("dvc", "exp", "run", "-S", "train.lr=fast", fails=True)
    assert "error: train.lr: found 'fast', allowed: a number above 0 and at most 1000" in output
    assert "Traceback" not in output
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "checkout")
