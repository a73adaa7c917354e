"""What is read out of DVC's output, and the picture that is drawn of it."""

import io

import pytest
from PIL import Image

from pipeline.core.errors import ArtifactError
from pipeline.experiments.picture import draw, label_of
from pipeline.experiments.queue import states_in
from pipeline.experiments.runs import Run, read_runs, seconds_in, varied
from pipeline.experiments.sweep import parse, show

STATUS = """\
Task     Name        Created    Status
e2f8c70  genic-glen  03:02 AM   Running
a993129  hired-pees  03:02 AM   Success
c12cdf5              Nov 27, 2026  Queued
7993cc4  direr-jube  Nov 27, 2026  Failed

Worker status: 1 active, 0 idle
"""
LOG = """\
Running stage 'train':
INFO train: 64 of 96 images, 1/s, 31 s left; epoch 1, loss 0.695
INFO train: done in 12.5 s
INFO evaluate: done in 3.0 s
"""


def made(name="a", *, lr=0.1, seed=0, seconds=10.0, accuracy=0.9):
    return Run(
        name=name,
        params={"train.lr": lr, "train.sizes_px": [32], "train.seed": seed},
        accuracy=accuracy,
        low=accuracy - 0.05,
        high=accuracy + 0.04,
        n=100,
        threads=2,
        seconds=seconds,
    )


def test_the_states_of_named_tasks_are_read():
    assert states_in(STATUS) == {
        "genic-glen": "Running",
        "hired-pees": "Success",
        "direr-jube": "Failed",
    }


def test_the_time_of_a_training_is_that_of_its_stage_and_unknown_if_it_did_not_run():
    assert seconds_in(LOG) == 12.5
    assert seconds_in("Stage 'train' is cached - skipping run, checking out outputs\n") is None


def test_runs_that_were_not_evaluated_are_left_out():
    shown = [
        {"rev": "workspace", "experiments": None},
        {
            "rev": "abc",
            "experiments": [
                {"name": "failed", "revs": [{"rev": "1", "data": None, "error": {}}]},
                {"name": "queued", "revs": [{"rev": "2", "data": {"params": {}, "metrics": {}}}]},
            ],
        },
    ]
    assert read_runs(shown) == []


def test_runs_are_told_apart_by_what_differs_but_not_by_seeds():
    runs = [made(lr=0.1, seed=0), made(lr=0.1, seed=1), made(lr=0.2, seed=0)]
    assert varied(runs) == ["train.lr"]
    assert [label_of(run, varied(runs)) for run in runs] == ["lr 0.1", "lr 0.1", "lr 0.2"]


def test_a_run_without_a_time_is_listed_but_not_drawn(caplog, capsys, tmp_path):
    out = tmp_path / "sweep.png"
    show([made("a"), made("b", seconds=None, accuracy=0.95)], out=out)
    assert "1 of 2 runs have no time" in caplog.text
    said = capsys.readouterr().out.splitlines()
    assert said[0].split()[:2] == ["b", "0.9500"]
    assert said[1].split()[:2] == ["a", "0.9000"]
    assert said[2] == f"{out}: 1 runs"
    assert out.exists()


def test_runs_that_all_came_out_of_the_run_cache_are_listed_and_the_picture_stays(
    caplog, capsys, tmp_path
):
    out = tmp_path / "sweep.png"
    out.write_bytes(b"the first runs")
    show([made("a", seconds=None), made("b", seconds=None)], out=out)
    assert "2 of 2 runs have no time" in caplog.text
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[:2]] == ["a", "b"]
    assert "--draw" in said[2]
    assert out.read_bytes() == b"the first runs"


def test_no_run_at_all_is_an_error_with_a_cure(tmp_path):
    with pytest.raises(ArtifactError, match=r"no experiment .* was evaluated.*; run: python -m"):
        show([], out=tmp_path / "sweep.png")


def test_the_picture_has_a_mark_of_every_group_in_its_own_colour():
    runs = [made(lr=lr, seed=seed, seconds=10 + 20 * lr) for lr in (0.1, 0.5) for seed in (0, 1)]
    image = Image.open(io.BytesIO(draw(runs))).convert("RGB")
    colours = {colour for _, colour in image.getcolors(image.width * image.height)}
    assert {(0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E)} <= colours  # matplotlib's C0 and C1


def test_a_mistake_on_the_command_line_is_one_line(capsys):
    with pytest.raises(SystemExit) as left:
        parse(["--seeds", "0"])
    assert left.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1
