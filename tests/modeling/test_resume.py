"""A fitting that is left after any step and gone on with ends with the same bytes."""

import dataclasses
import hashlib
import logging
import random

import pytest
import torch
from modeling_sets import RECIPE

from pipeline.core.errors import TrainingError
from pipeline.core.locks import held
from pipeline.modeling.feed import Features, head_inputs
from pipeline.modeling.fingerprint import fingerprint
from pipeline.modeling.fit import Fitting
from pipeline.modeling.resume import Checkpoints, remove_folder, remove_others
from pipeline.modeling.zoo import build_model, fit_to_data

CPU = torch.device("cpu")
VARIANTS = {
    "muon": {},
    "sgd": {"optimizer": "sgd", "balance": "weights"},
    "adamw": {"optimizer": "adamw", "lr": 0.002, "balance": "sampler", "clip_norm": 1.0},
    "averaged": {"ema_decay": 0.8},
    "mixed": {"mixup": 0.4, "cutmix": 1.0, "erasing": 0.5, "jitter": 0.3},
    "frozen": {"freeze_epochs": 1, "epochs": 1, "lr_factors": (0.1, 1.0)},
    "precomputed": {"freeze_epochs": 1, "epochs": 1, "precompute": True},
    "parts": {"accumulate": 2, "schedule": "one_cycle"},
}


def fitting(train, valid, compute, **changes):
    model = build_model("compact", n_classes=2, seed=0)
    fit_to_data(model, train)
    recipe = dataclasses.replace(RECIPE, **changes)
    features = None
    if recipe.precompute:
        parts = (head_inputs(model, s, compute=compute, on_batch=print) for s in (train, valid))
        features = Features(*parts)
    return Fitting(model, train, valid, recipe, compute=compute, features=features)


class Left(Exception):
    """The training was left."""


def left_and_gone_on_with(make, folder, moments, after_load=lambda: None):
    """Leave a fitting at each of the moments, counted in calls, and go on with a new one."""
    store = Checkpoints(folder)
    for moment in moments:
        fit, calls = make(), 0
        if (state := store.load(device=CPU)) is not None:
            fit.load_state_dict(state)

        def leave(n_images, fit=fit, moment=moment):
            nonlocal calls
            calls += 1
            if calls == moment:
                store.save(fit.state_dict(), epoch=fit.epoch, step=fit.step)
                raise Left

        with pytest.raises(Left):
            list(fit.run(leave))
        after_load()
    fit = make()
    fit.load_state_dict(store.load(device=CPU))
    list(fit.run())
    return fit


def assert_equal(one, other):
    assert one.history == other.history
    for a, b in ((one.best, other.best), (one.model.state_dict(), other.model.state_dict())):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_that_was_left_ends_with_the_same_bytes(
    train_split, valid_split, cpu, tmp_path, variant
):
    def make():
        return fitting(train_split, valid_split, cpu, **VARIANTS[variant])

    whole = make()
    list(whole.run())
    # Four steps and a batch of validation make five calls an epoch: in a step, after the last
    # step, in validation, and in the second epoch.
    moments = (2, 2, 1, 3)
    gone_on_with = left_and_gone_on_with(make, tmp_path, moments, lambda: torch.manual_seed(7))
    assert_equal(gone_on_with, whole)


def test_dropout_is_the_same_after_going_on(train_split, valid_split, cpu, tmp_path):
    def make():
        fit = fitting(train_split, valid_split, cpu)
        fit.model.network.fc = torch.nn.Sequential(torch.nn.Dropout(0.5), fit.model.network.fc)
        return fit

    whole = make()
    list(whole.run())
    assert_equal(left_and_gone_on_with(make, tmp_path, (3,)), whole)


@pytest.fixture(scope="module")
def two_states():
    """Two checkpoints' states, small."""
    return [{"epoch": 1, "step": k, "w": torch.arange(400.0) + k} for k in (1, 2)]


def stored(folder, states):
    store = Checkpoints(folder)
    for state in states:
        store.save(state, epoch=state["epoch"], step=state["step"])
    return store, sorted(folder.glob("*.pt"))


def damage_is_told(folder, states, content, caplog):
    """Tell whether a damaged newest checkpoint is left out with one line of warning."""
    store, (_, newest) = stored(folder, states)
    newest.write_bytes(content)
    caplog.clear()
    state = store.load(device=CPU)
    lines = [r for r in caplog.records if r.levelno == logging.WARNING]
    return (
        state is not None
        and state["step"] == 1
        and torch.equal(state["w"], states[0]["w"])
        and len(lines) == 1
        and newest.name in lines[0].getMessage()
    )


def test_one_flipped_bit_in_200_places_is_noticed_200_times(two_states, tmp_path, caplog):
    whole = stored(tmp_path / "c", two_states)[1][1].read_bytes()
    places = random.Random(0).sample(range(8 * len(whole)), 200)
    told = 0
    for place in places:
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        told += damage_is_told(tmp_path / "c", two_states, content, caplog)
    assert told == 200


def test_20_truncations_are_noticed_20_times(two_states, tmp_path, caplog):
    whole = stored(tmp_path / "c", two_states)[1][1].read_bytes()
    cuts = [0, 1, len(whole) - 1, *(len(whole) * k // 18 for k in range(1, 18))]
    told = [damage_is_told(tmp_path / "c", two_states, whole[:cut], caplog) for cut in cuts]
    assert told == [True] * 20


def test_if_every_checkpoint_is_damaged_the_training_begins_again(two_states, tmp_path):
    store, paths = stored(tmp_path / "c", two_states)
    for path in paths:
        path.write_bytes(b"")
    assert store.load(device=CPU) is None


def test_the_two_newest_are_kept(two_states, tmp_path):
    states = [{**two_states[0], "epoch": e, "step": s} for e, s in ((1, 9), (1, 10), (2, 0))]
    paths = stored(tmp_path / "c", states)[1]
    assert [path.name[:16] for path in paths] == ["000001-000000010", "000002-000000000"]


def test_a_checkpoint_that_runs_code_is_refused(two_states, tmp_path, caplog):
    canary = tmp_path / "canary"

    class Hostile:
        def __reduce__(self):
            return (open, (str(canary), "w"))

    store = stored(tmp_path / "c", two_states)[0]
    torch.save(Hostile(), tmp_path / "h")
    content = (tmp_path / "h").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "c" / f"000009-000000000-{digest}.pt").write_bytes(content)
    assert store.load(device=CPU)["step"] == 2
    assert "not a checkpoint (UnpicklingError)" in caplog.text
    assert not canary.exists()


def test_a_state_that_is_not_finite_is_never_saved(train_split, valid_split, cpu):
    fit = fitting(train_split, valid_split, cpu)
    with torch.no_grad():
        fit.model.network.fc.bias[0] = float("nan")
    with pytest.raises(TrainingError, match="a weight is not finite; the learning rate is likely"):
        fit.state_dict()


def test_the_fingerprint_follows_everything_that_the_result_depends_on(tmp_path):
    data, code = tmp_path / "d", tmp_path / "c.py"
    data.write_bytes(b"1")
    code.write_text("1")
    start = {"w": torch.ones(2)}

    def now(settings=1):
        return fingerprint(settings={"lr": settings}, data=[data], code=[code], start=start)

    first = now()
    assert now() == first
    seen = {first, now(settings=2)}
    data.write_bytes(b"2")  # of the same size
    seen.add(now())
    code.write_text("2")
    seen.add(now())
    start["w"][1] = 2
    seen.add(now())
    start["w"] = start["w"].double()
    seen.add(now())
    assert len(seen) == 6


def test_an_abandoned_folder_is_removed_with_those_above_that_are_empty(tmp_path):
    folder = tmp_path / "a" / "b"
    with held(folder, owner="another training"):
        remove_folder(folder)
    assert not folder.parent.exists()


def test_folders_of_other_trainings_are_removed_but_for_the_newest_and_the_held(tmp_path):
    import os

    folders = [tmp_path / name for name in "abcdef"]
    for age, folder in enumerate(folders):
        folder.mkdir()
        (folder / "x.pt").touch()
        os.utime(folder, (1e9 - age, 1e9 - age))
    with held(folders[5], owner="another training"):
        remove_others(folders[0], kept=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c", "f"]
