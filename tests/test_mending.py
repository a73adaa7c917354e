"""Wrong labels found by the model and corrected, and the model better for it."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import copy_project

from pipeline.core.process import available_cores
from pipeline.sources.synthetic import synthetic_images

pytestmark = pytest.mark.slow

N_IMAGES, N_SWAPPED = 1200, 60
VALUES = {
    "data.source": "pets",
    "pack.size_px": "40",
    "lr_find.sweeps": "1",
    "train.lr": "0.06",
    "train.epochs": "8",
    "train.batch_size": "32",
    "train.sizes_px": "[32]",
    "split.test_fraction": "0.3",
}


def run(root: Path, *command: str) -> str:
    """Run a command in the project; return what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A trained project, 60 of whose images lie in the other class's folder; and their names."""
    root = copy_project(tmp_path_factory.mktemp("mending") / "project", values=VALUES)
    files, planted = synthetic_images(N_IMAGES, seed=11, workers=available_cores())
    spoilt = {name for pair in planted.exact_duplicates for name in pair}
    sound = [n for n, _ in files if n not in {*spoilt, *planted.broken, *planted.swapped}]
    swapped = set(random.Random(5).sample(sound, N_SWAPPED - len(planted.swapped)))
    names = set()
    for name, content in files:
        label, _, file = name.partition("/")
        if name in swapped:
            label = "dog" if label == "cat" else "cat"
        path = root / "pets" / label / f"{name[0]}{file}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if name in swapped or name in planted.swapped:
            names.add(f"{label}/{name[0]}{file}")
    ignored = root / ".gitignore"
    ignored.write_text(f"{ignored.read_text()}\n/pets\n")
    for command in (
        ("init", "-q", "-b", "main"),
        ("config", "user.name", "Test"),
        ("config", "user.email", "test@example.invalid"),
    ):
        run(root, "git", *command)
    run(root, "dvc", "init", "-q", "-f")
    run(root, "dvc", "repro", "-q", "evaluate")
    run(root, "git", "add", "-A")
    run(root, "git", "commit", "-qm", "before")
    return root, names


def test_suspects_become_corrections_and_the_model_gets_better(
    project: tuple[Path, set[str]],
) -> None:
    root, planted = project
    run(root, sys.executable, "-m", "pipeline.analysis.suspects", "--write", "data/corrections.csv")
    rows = (root / "data/corrections.csv").read_text().splitlines()[1:]
    found = {row.split(",")[0] for row in rows}
    assert len(found & planted) > len(found) / 2  # most of those above the threshold are wrong
    assert len(found & planted) > len(planted) / 3

    run(root, "dvc", "repro", "-q", "evaluate")
    diff = json.loads(run(root, "dvc", "metrics", "diff", "--json"))
    changes = diff["reports/evaluate/metrics.json"]
    assert changes["log_loss"]["diff"] < 0
    assert changes["accuracy"]["diff"] > 0
    said = run(root, sys.executable, "-m", "pipeline.evaluation.compare", "HEAD")
    assert " is better than HEAD" in said or "no evidence at n = " in said
