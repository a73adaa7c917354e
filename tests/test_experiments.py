"""dvc exp end to end on small data: run, queue, compare, keep, share; and the example for CI."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from clones import Clone, make_clone
from example_files import add_environment
from tiny import TINY

from pipeline.core.process import usable_cores

pytestmark = pytest.mark.slow

SMALL = {
    **TINY,
    "train.optimizer": "sgd",
    "train.epochs": "1",
    "train.sizes_px": "[32]",
    "runtime.threads": "1",
}
QUICK = "train.epochs=1"
WORKFLOW = yaml.safe_load(Path("examples/github-actions/pull-request.yml").read_text())


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = make_clone(tmp_path_factory.mktemp("experiments") / "clone", values=SMALL)
    add_environment(clone.root)
    clone.run("dvc", "repro", "evaluate")
    clone.commit("first run")
    return clone


def clean(clone: Clone) -> None:
    clone.run("git", "checkout", "-q", "-f", "main")
    clone.run("dvc", "checkout", "--force", "--allow-missing")


@pytest.fixture(scope="module")
def tried(clone: Clone) -> str:
    """The name of an experiment that was run in the workspace."""
    clone.run("dvc", "exp", "run", "evaluate", "-n", "tried", "-S", "train.seed=7")
    clean(clone)
    return "tried"


@pytest.fixture(scope="module")
def queued(clone: Clone) -> set[str]:
    """The names of experiments of a list and a range, run by two workers at a time."""
    clone.run(
        *("dvc", "exp", "run", "--queue", "evaluate", "-S", "train.lr=0.02,0.05"),
        *("-S", "train.seed=range(1,2)", "-S", "runtime.threads=null"),
    )
    clone.run("make", "queue", "JOBS=2")
    deadline = time.monotonic() + 600
    while (status := clone.run("dvc", "queue", "status")).count("Success") < 2:
        assert "Failed" not in status, status
        assert time.monotonic() < deadline, status
        time.sleep(2)
    clone.end_workers()
    rows = [line.split() for line in status.splitlines() if "Success" in line]
    return {row[1] for row in rows}


def shown(clone: Clone) -> dict[str, dict]:
    """Return what `dvc exp show` says of each experiment of HEAD."""
    (_, head) = json.loads(clone.run("dvc", "exp", "show", "--json"))
    return {e["name"]: e["revs"][0]["data"] for e in head["experiments"]}


def apply(clone: Clone, name: str) -> None:
    """Apply an experiment, which DVC does, and then fails since nothing was ever exported here."""
    said = clone.run("dvc", "exp", "apply", name, fails=True)
    missing = said.partition("Checkout failed for following targets:\n")[2].partition("Is your")[0]
    made_later = ("models/model.onnx", "models/preprocess.onnx", "models/int8", "models/golden")
    made_later += ("models/repository", "models/MODEL_CARD.md", "reports/index.html")
    assert missing
    assert all(line.startswith(made_later) for line in missing.splitlines()), said


def params_of(data: dict) -> dict:
    return data["params"]["params.yaml"]["data"]


def test_an_experiment_is_shown_and_compared_with_what_it_started_from(clone, tried):
    data = shown(clone)[tried]
    assert params_of(data)["train"]["seed"] == 7
    assert data["metrics"]["reports/evaluate/metrics.json"]["data"]["n"] == 25
    diff = json.loads(clone.run("dvc", "exp", "diff", "HEAD", tried, "--json"))
    assert diff["params"]["params.yaml"]["train.seed"] == {"old": 0, "new": 7, "diff": 7}
    assert clone.run("git", "branch", "--show-current") == "main\n"
    said = clone.run(sys.executable, "-m", "pipeline.evaluation.compare", "HEAD", tried)
    assert tried in said, said


def test_applied_it_is_in_the_workspace_and_nothing_is_left_to_run(clone, tried):
    apply(clone, tried)
    assert not {"train", "evaluate"} & clone.stale()
    assert yaml.safe_load((clone.root / "params.yaml").read_text())["train"]["seed"] == 7
    clean(clone)


def test_as_a_branch_it_is_an_ordinary_commit(clone, tried):
    clone.run("dvc", "exp", "branch", tried, "keep-it")
    text = clone.run("git", "show", "keep-it:params.yaml")
    assert yaml.safe_load(text)["train"]["seed"] == 7
    assert clone.run("git", "rev-parse", "keep-it~1") == clone.run("git", "rev-parse", "main")


def test_pushed_to_a_git_remote_another_clone_pulls_it_with_its_model(clone, tried, tmp_path):
    clone.run("git", "init", "-q", "--bare", "-b", "main", str(tmp_path / "origin.git"))
    clone.run("git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    clone.run("dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    clone.run("git", "push", "-q", "origin", "main")
    clone.run("dvc", "exp", "push", "origin", tried)
    assert tried in clone.run("dvc", "exp", "list", "origin")
    clone.run("git", "clone", "-q", str(tmp_path / "origin.git"), str(tmp_path / "other"))
    other = Clone(tmp_path / "other")
    other.run("dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    other.run("dvc", "exp", "pull", "origin", tried)
    apply(other, tried)
    assert (other.root / "models/model.pt").is_file()
    assert not {"train", "evaluate"} & other.stale()


def test_two_workers_run_lists_and_ranges_each_with_half_of_the_cores(clone, queued):
    found = shown(clone)
    rates = sorted(params_of(found[name])["train"]["lr"] for name in queued)
    assert rates == [0.02, 0.05]
    for name in queued:
        assert params_of(found[name])["train"]["seed"] == 1
        trained = found[name]["metrics"]["reports/train/metrics.json"]["data"]
        assert trained["threads"] == max(1, usable_cores() // 2)
        assert "train: done in" in clone.run("dvc", "queue", "logs", name)
    assert clone.run("git", "status", "--porcelain") == ""


def test_the_picture_of_a_sweep_shows_what_ran_in_the_queue(clone, tried, queued):
    text = clone.run(sys.executable, "-m", "pipeline.experiments.sweep", "--draw")
    assert "1 of 3 runs have no time" in text
    assert "reports/sweep.png: 2 runs" in text
    for name in queued:
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        assert " s  lr 0.0" in line
    assert (clone.root / "reports/sweep.png").read_bytes().startswith(b"\x89PNG")
    assert clone.run("git", "status", "--porcelain") == ""


def test_a_sweep_queues_runs_waits_and_draws(clone):
    text = clone.run("make", "sweep", "SWEEP=--lr 0.07 --sizes 32 --seeds 1 --epochs 1")
    clone.end_workers()
    assert "reports/sweep.png: 1 runs" in text


def test_a_recipe_applied_is_what_dvc_would_run(clone):
    clone.run(sys.executable, "-m", "pipeline.recipes", "apply", "quick-look")
    assert {"pack", "lr_find", "train"} & clone.stale()
    dry = clone.run("dvc", "repro", "--dry", "train")
    assert "Running stage 'lr_find'" in dry
    assert "Running stage 'split'" not in dry
    clean(clone)


def test_a_recipe_is_tried_in_a_copy_by_its_flags(clone):
    flags = "$(python -m pipeline.recipes flags quick-look)"
    clone.run("sh", "-c", f"dvc exp run --temp train -n looked {flags} -S {QUICK}")
    assert clone.run("git", "status", "--porcelain") == ""
    found = params_of(shown(clone)["looked"])
    assert (found["train"]["sizes_px"], found["train"]["lr"]) == ([32], None)
    assert found["lr_find"]["sweeps"] == 1


def steps() -> dict[str, str]:
    return {s["name"]: s["run"] for s in WORKFLOW["jobs"]["pipeline"]["steps"] if "run" in s}


def test_the_workflow_asks_for_no_more_rights_than_it_needs():
    assert WORKFLOW["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert WORKFLOW[True] == "pull_request"  # YAML 1.1 takes the key `on` for true
    for text in steps().values():
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_workflow_refuses_a_lock_that_is_out_of_date(clone):
    check = steps()["dvc.lock is what this code and these parameters make"]
    check = check.replace("dvc repro", "dvc repro evaluate", 1)  # the clone goes no further
    clone.run("bash", "-e", "-c", check)
    params = clone.root / "params.yaml"
    params.write_text(
        params.read_text().replace("\n  weight_decay: 0.01", "\n  weight_decay: 0.02")
    )
    assert "run dvc repro and commit dvc.lock" in clone.run("bash", "-e", "-c", check, fails=True)
    (clone.root / "check.txt").unlink()
    clean(clone)


def test_the_workflow_says_what_has_changed(clone, tried):
    text = clone.run(
        "bash", "-e", "-c", steps()["What has changed"].replace("HEAD", tried), BASE="main"
    )
    (clone.root / "comment.md").unlink()
    assert "### Metrics, main and this branch" in text
    assert "| reports/train/metrics.json" in text
    assert "tried" in text.splitlines()[-1]
