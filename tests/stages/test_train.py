"""The train stage as a whole: what it leaves, and what it never overwrites."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from jpegs import pack_two_classes

from pipeline.core.artifacts import EpochRecord, Suggestion, read_records, write_suggestion
from pipeline.core.errors import TrainingError
from pipeline.core.params import load_params
from pipeline.core.seen import WEIGHTS_CURE, warn_of_weights
from pipeline.modeling.checkpoint import load_checkpoint
from pipeline.modeling.fingerprint import CODE
from stages.train import run

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def params():
    """The repository's parameters, small and in one thread."""
    params = load_params(REPOSITORY / "params.yaml")
    train = replace(params.train, epochs=2, batch_size=8, sizes_px=(24,), lr=0.01)
    return replace(
        params, train=train, runtime=replace(params.runtime, workers=1, threads=1, device="cpu")
    )


def changed(params, **train):
    return replace(params, train=replace(params.train, **train))


def test_model_history_and_metrics_are_left_and_nothing_else(params, tmp_path):
    layout = pack_two_classes(tmp_path, per_class=20)
    run(params, layout)
    history = read_records(layout.history, EpochRecord, stage="train")
    metrics = json.loads(layout.train_metrics.read_text())
    (kept,) = [record for record in history if record.kept]
    assert len(history) == metrics["epochs"] == 2
    assert metrics["kept_epoch"] == kept.epoch
    assert metrics["threads"] == 1
    assert load_checkpoint(layout.model)[1].classes == ("cat", "dog")
    assert not (tmp_path / ".ckpt").exists()


def test_weights_that_changed_since_the_training_began_with_them_are_told_of(
    params, tmp_path, monkeypatch, caplog
):
    layout = pack_two_classes(tmp_path, per_class=20)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    run(changed(params, epochs=1), layout)
    start = tmp_path / "start.pt"
    shutil.copy(layout.model, start)
    tuned = replace(changed(params, epochs=1), model=replace(params.model, weights=str(start)))
    run(tuned, layout)
    warn_of_weights(str(start))
    assert caplog.text == ""
    shutil.copy(layout.model, start)  # what was trained since
    warn_of_weights("none")
    warn_of_weights("another.pt")
    assert caplog.text == ""
    warn_of_weights("start.pt")  # the same file by another name
    assert caplog.messages == [
        f"model.weights: start.pt changed since the training; {WEIGHTS_CURE}"
    ]
    caplog.clear()
    run(tuned, layout)
    warn_of_weights(str(start))
    assert caplog.text == ""


@pytest.mark.parametrize("lr", [1000.0, 30.0])
def test_a_training_that_explodes_leaves_a_good_model_alone(params, tmp_path, lr):
    layout = pack_two_classes(tmp_path, per_class=20)
    run(params, layout)
    good = layout.model.read_bytes()
    with pytest.raises(
        TrainingError, match=r"the learning rate is likely too high: lower train\.lr"
    ):
        run(changed(params, lr=lr, optimizer="sgd", epochs=8), layout)
    assert layout.model.read_bytes() == good
    assert load_checkpoint(layout.model)
    assert not (tmp_path / ".ckpt").exists()


def test_history_and_metrics_are_written_at_each_epoch(params, tmp_path, monkeypatch):
    layout = pack_two_classes(tmp_path, per_class=20)
    seen = []
    monkeypatch.setattr(
        "stages.train.in_words",
        lambda record: seen.append(
            (
                len(read_records(layout.history, EpochRecord, stage="train")),
                json.loads(layout.train_metrics.read_text())["epochs"],
            )
        ),
    )
    run(params, layout)
    assert seen == [(1, 1), (2, 2)]


def test_the_head_is_trained_on_features_that_are_kept_for_the_next_training(
    params, tmp_path, caplog
):
    layout = pack_two_classes(tmp_path, per_class=20)
    caplog.set_level("INFO")
    fine = changed(params, freeze_epochs=2, epochs=1, precompute=True, lr_factors=(0.1, 1.0))
    run(fine, layout)
    assert "were computed before" not in caplog.text
    assert len(list(tmp_path.glob(".ckpt/features/*/*.pt"))) == 1
    assert not (tmp_path / ".ckpt/train").exists()
    run(changed(fine, lr=0.02), layout)  # another rate, the same features
    assert "were computed before" in caplog.text
    assert len(read_records(layout.history, EpochRecord, stage="train")) == 3


def results(layout):
    return layout.model.read_bytes(), layout.history.read_bytes(), layout.train_metrics.read_bytes()


@pytest.mark.slow
def test_two_runs_and_0_1_or_4_decoding_processes_give_the_same_bytes(params, tmp_path):
    found = []
    for name, mode, workers in (
        ("a", "array", 1),
        ("b", "array", 1),
        ("c", "stream", 1),
        ("d", "stream", 4),
    ):
        layout = pack_two_classes(tmp_path / name, per_class=20, mode=mode)
        run(replace(params, runtime=replace(params.runtime, workers=workers)), layout)
        found.append(results(layout))
    assert found[1:] == found[:-1]


def test_the_fingerprint_covers_the_code_that_dvc_yaml_lists():
    deps = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]["train"]["deps"]
    assert {f"pipeline/{name}" for name in CODE} == {d for d in deps if d.startswith("pipeline/")}


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("status", ["noisy", "flat", "diverged"])
def test_without_an_answer_of_the_range_test_it_trains_at_the_default_and_says_so(
    params, tmp_path, caplog, status
):
    layout = pack_two_classes(tmp_path, per_class=20)
    write_suggestion(layout.suggestion, Suggestion(lr=0.05, status=status))
    caplog.set_level("INFO")
    run(changed(params, epochs=1, lr=None), layout)
    said = f"train.lr: peak learning rate 0.05, the default, since lr_find's curve is {status}"
    assert said in caplog.text
    assert json.loads(layout.train_metrics.read_text())["lr"] == 0.05


def test_without_an_answer_it_stops_if_that_is_asked_for(params, tmp_path):
    layout = pack_two_classes(tmp_path, per_class=20)
    write_suggestion(layout.suggestion, Suggestion(lr=0.05, status="flat"))
    strict = changed(params, epochs=1, lr=None, no_suggestion="stop")
    with pytest.raises(TrainingError, match=r"curve is flat and train\.no_suggestion is stop; see"):
        run(strict, layout)
    assert not layout.model.exists()
    run(changed(strict, lr=0.01), layout)  # a rate of one's own needs no suggestion
    assert layout.model.exists()


def test_the_head_alone_has_a_rate_of_its_own(params, tmp_path):
    layout = pack_two_classes(tmp_path, per_class=20)
    write_suggestion(
        layout.suggestion, Suggestion(lr=0.002, status="ok", head_lr=0.2, head_status="ok")
    )
    fine = changed(params, lr=None, freeze_epochs=1, epochs=1, warmup_fraction=0.0)
    run(fine, layout)
    frozen, whole = read_records(layout.history, EpochRecord, stage="train")
    # Both phases have three steps: the last one's rate is a third of the peak.
    assert (frozen.lr, whole.lr) == pytest.approx((0.2 / 3, 0.002 / 3))
