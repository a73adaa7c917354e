"""A new user's own folder of three classes: trained, corrected, compared and served.

The commands are those of README.md, and nothing else is run: `python -m pipeline.sources.pin` and
`dvc repro`, `git commit -am`, `python -m pipeline.analysis.suspects --write`,
`python -m pipeline.evaluation.compare`, `python -m pipeline.serving`; first `make setup` and
`source .venv/bin/activate`. What is served is asked with README's `curl`.
"""

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from documents import Command, commands_of
from example_files import add_environment
from PIL import Image, ImageDraw
from scripted import run_script, script_of
from tiny import REPOSITORY, TINY, copy_project

SECTION = "## Your own images"
CLASSES = ("crosses", "discs", "stripes")
IMAGES_PER_CLASS, WRONG = 40, (3, 17)  # these of each class lie in the next one's folder
SIDE = 96
VALUES = {
    **{name: value for name, value in TINY.items() if not name.startswith("data.")},
    "train.epochs": "16",
    "train.crop_min_area": "0.7",
    "runtime.threads": "1",
    "evaluate.reject_coverage": "0.95",
}


def commands() -> list[Command]:
    """Return the commands of the section's first block."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    before, section = text.split(f"{SECTION}\n")
    block = section[: section.index("\n```\n") + 5]
    return commands_of("README.md", before.replace("```bash", "```text") + block)


def asking() -> Command:
    """Return the first request that README.md makes of the server."""
    page = commands_of("README.md", (REPOSITORY / "README.md").read_text(encoding="utf-8"))
    return next(command for command in page if command.words[0] == "curl")


def draw(kind: str, rng: np.random.Generator) -> Image.Image:
    """Return a dark cross, disc or stripes on a light ground, of any place and size, with noise."""
    ground, colour = (tuple(map(int, rng.integers(low, low + 90, 3))) for low in (160, 10))
    image = Image.new("RGB", (SIDE, SIDE), ground)
    canvas = ImageDraw.Draw(image)
    (x, y), r = rng.uniform(30, 66, 2).tolist(), float(rng.uniform(14, 28))
    if kind == "discs":
        canvas.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif kind == "crosses":
        canvas.line((x - r, y, x + r, y), fill=colour, width=8)
        canvas.line((x, y - r, x, y + r), fill=colour, width=8)
    else:
        for left in range(0, SIDE, int(r)):
            canvas.rectangle((left, 0, left + r / 2, SIDE), fill=colour)
    noisy = np.asarray(image).astype(int) + rng.integers(-20, 21, (SIDE, SIDE, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def draw_folder(folder: Path) -> None:
    rng = np.random.default_rng(7)
    for k, kind in enumerate(CLASSES):
        for i in range(IMAGES_PER_CLASS):
            label = CLASSES[(k + 1) % 3] if i in WRONG else kind
            (folder / label).mkdir(parents=True, exist_ok=True)
            draw(kind, rng).save(folder / label / f"{kind}-{i:02d}.png")


def fresh_clone(target: Path) -> Path:
    """Return a Git repository as `git clone` gives it, with the committed results."""
    copy_project(target, values=VALUES)
    tracked = subprocess.run(
        ["git", "ls-files", "dvc.lock", "reports"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in tracked:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((REPOSITORY / name).read_bytes())
    for command in (
        "git init -q -b main",
        "git config user.name Test",
        "git config user.email test@example.invalid",
        "git add -A",
        "git commit -qm start",
    ):
        subprocess.run(command.split(), cwd=target, check=True)
    return target


def test_the_readme_gets_there_in_fewer_than_ten_commands():
    assert 5 < len(commands()) < 10


@pytest.mark.slow
def test_a_folder_of_three_classes_is_trained_corrected_compared_and_served(tmp_path):
    clone = fresh_clone(tmp_path / "project")
    draw_folder(tmp_path / "shapes")
    draw("stripes", np.random.default_rng(99)).save(clone / "cat.jpg")
    planted = {f"{kind}-{i:02d}": kind for kind in CLASSES for i in WRONG}
    # What the model suspects is to be checked; forty images of a class may be too few for it to
    # be sure, but not for a person who looks.
    by_eye = tmp_path / "by-eye.csv"
    rows = [
        f"{CLASSES[(CLASSES.index(k) + 1) % 3]}/{n}.png,relabel,{k}" for n, k in planted.items()
    ]
    by_eye.write_text("\n".join(["path,action,label", *rows, ""]))
    script = script_of([*commands(), asking()]).replace("path/to/folder", "../shapes")
    suspects, rest = script.split("--write data/corrections.csv", maxsplit=1)
    script = (
        f"{suspects}--write data/corrections.csv && cp ../by-eye.csv data/corrections.csv{rest}"
    )
    done = run_script(script, cwd=clone, path=add_environment(clone))
    assert done.returncode == 0, done.stdout[-4000:]

    assert yaml.safe_load((clone / "params.yaml").read_text())["data"]["source"].endswith("shapes")
    assert "120 images in 3 classes (crosses 40, discs 40, stripes 40)" in done.stdout
    assert "steps in all, which is little: try a smaller train.batch_size" in done.stdout
    with (clone / "data/split.csv").open() as file:
        labels = {Path(row["path"]).stem: row["label"] for row in csv.DictReader(file)}
    assert {name: labels[name] for name in planted} == planted
    assert any(f" {word} " in done.stdout for word in ("better", "worse", "no evidence"))
    answer = json.loads(done.stdout[done.stdout.rindex('{"label"') :].splitlines()[0])
    assert set(answer["probabilities"]) == set(CLASSES)
    assert (clone / "models/MODEL_CARD.md").read_text().count("`crosses`") > 1
