"""Killed at any moment, or with a damaged checkpoint, training ends with the same bytes."""

import os
import random
import signal
from collections.abc import Iterator

import pytest
from faults.projects import Project, one_line_error
from faults.trials import KILLER
from stages_training import (
    SMALL,
    STEPS,
    TrainBench,
    make_bench,
    packed_project,
    wait_for,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return packed_project(tmp_path_factory.mktemp("train") / "project")


@pytest.fixture(scope="module")
def bench(packed, tmp_path_factory) -> Iterator[TrainBench]:
    bench = make_bench(packed, tmp_path_factory.mktemp("bench") / "project")
    yield bench
    bench.project.close()


@pytest.fixture(scope="module")
def killer(tmp_path_factory):
    path = tmp_path_factory.mktemp("killer") / "killer.py"
    path.write_text(KILLER)
    return path


def trial(bench: TrainBench, killer, number: int) -> None:
    """Kill a training once, twice or three times, at random moments or before random changes."""
    chance = random.Random(f"{os.environ.get('FAULT_SEED', '0')} train {number}")
    bench.forget()
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        bench.remove_outs()
        if number % 3 == 2:  # right before a change of the file system: open, fsync, rename, remove
            at = chance.randrange(1, 170)
            while (
                running := bench.project.start("train", script=killer, KILL_AT=str(at))
            ).end().status != -signal.SIGKILL:  # fewer changes are left after going on
                bench.forget()
                at = at * 2 // 3
        else:  # in a step, in validation, in a save, while the model is written
            running = bench.killed_after(chance.uniform(0, bench.seconds))
        assert running.wait_until_gone(10) == []
    bench.go_on()


@pytest.mark.parametrize("number", [1001, 1002])
def test_a_killed_training_ends_with_the_same_bytes(bench, killer, number):
    trial(bench, killer, number)


@pytest.mark.campaign
@pytest.mark.parametrize("number", range(100))
def test_one_of_a_hundred_kills(bench, killer, number):
    trial(bench, killer, number)


def test_a_killed_training_goes_on_where_it_was(bench):
    bench.with_checkpoints(5)
    newest = bench.checkpoints[0]
    assert 2 <= len(bench.checkpoints) <= 3  # three between a rename and the removal of the oldest
    assert place(newest) in bench.go_on().errors


def test_a_damaged_checkpoint_is_told_and_the_older_one_used(bench):
    bench.with_checkpoints(5)
    newest, older = bench.checkpoints[:2]
    content = bytearray(newest.read_bytes())
    content[len(content) // 3] ^= 4
    newest.write_bytes(content)
    errors = bench.go_on().errors
    (warning,) = [line for line in errors.splitlines() if line.startswith("WARNING")]
    assert newest.name in warning
    assert "damaged" in warning
    assert place(older) in errors


def test_other_parameters_start_afresh_and_leave_a_checkpoint_alone(bench):
    bench.with_checkpoints(5)
    names = [path.name for path in bench.checkpoints]
    bench.project.configure({"train.lr": "0.02", "train.epochs": "1"})
    bench.remove_outs()
    ended = bench.ended_well(bench.project.start("train"))
    assert "continues in" not in ended.errors
    assert [path.name for path in bench.checkpoints] == names
    back = {key: SMALL[key] for key in ("train.lr", "train.epochs")}
    bench.project.configure({**back, "runtime.resume": "false"})
    assert "continues in" not in bench.go_on().errors
    bench.project.configure({"runtime.resume": "true"})


def test_an_orphan_and_a_new_run_are_kept_apart(bench):
    bench.forget()
    orphan = bench.project.start("train")
    wait_for(orphan, "epoch 1 of 4")
    os.kill(orphan.child.pid, signal.SIGSTOP)
    try:
        ended = Project(bench.root, bench.project.environment).start("train").end()
        message = one_line_error(ended, "train")
        assert f"another training, process {orphan.child.pid}, is using it" in message
        assert f"kill {orphan.child.pid}" in message
    finally:
        os.kill(orphan.child.pid, signal.SIGCONT)
    bench.ended_well(orphan)
    assert bench.found() == bench.want


@pytest.fixture(scope="module")
def unsaved(packed, tmp_path_factory) -> Iterator[TrainBench]:
    """A bench that saves only when it is asked to stop."""
    folder = tmp_path_factory.mktemp("unsaved") / "project"
    bench = make_bench(packed, folder, {"runtime.checkpoint_seconds": "3600"})
    yield bench
    bench.project.close()


def test_saving_does_not_change_the_result(bench, unsaved):
    assert unsaved.want == bench.want


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_leaves_within_ten_seconds(unsaved, sent, status):
    unsaved.forget()
    running = unsaved.project.start("train")
    wait_for(running, "epoch 1 of 4")
    running.signal(sent)
    ended = running.end(timeout_s=10)
    assert ended.status == status, ended.errors
    assert "Traceback" not in ended.errors
    last = ended.errors.splitlines()[-1]
    assert "saved; the next run continues from there" in last
    assert ended.errors.count("next run continues") == 1
    assert place(unsaved.checkpoints[0]) in unsaved.go_on().errors


def place(checkpoint) -> str:
    """Return what the stage says when it goes on from a checkpoint."""
    epoch, step = map(int, checkpoint.name.split("-")[:2])
    return f"continues in epoch {epoch} after step {step} of {STEPS}"
