"""What is read out of DVC's output, and the picture that is drawn of it."""

import io

import pytest
from PIL import Image

from pipeline.core.errors import ArtifactError
from pipeline.experiments.picture import draw, label_of
from pipeline.experiments.queue import states_in
from pipeline.experiments.runs import Run, read_runs, seconds_in, varied
from pipeline.experiments.sweep import parse, timed

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


def test_a_run_without_a_time_is_left_out_with_a_word_and_none_at_all_is_an_error(caplog):
    runs = [made("a"), made("b", seconds=None)]
    assert timed(runs) == runs[:1]
    assert "1 of 2 runs have no time" in caplog.text
    with pytest.raises(ArtifactError, match="no experiment of this commit was evaluated"):
        timed(runs[1:])


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
