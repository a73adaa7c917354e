"""A session that is asked to stop says what became of its state."""

import dataclasses
import os
import signal

import pytest
from modeling_sets import RECIPE

from pipeline.core.errors import ArtifactError
from pipeline.core.progress import Progress
from pipeline.modeling.fit import Fitting
from pipeline.modeling.resume import Checkpoints
from pipeline.modeling.session import Session
from pipeline.modeling.zoo import build_model


@pytest.mark.parametrize(
    ("full", "said"),
    [
        (False, "in epoch 1 after step 1 of 4, saved; the next run continues from there"),
        (True, "in epoch 1 after step 1 of 4, not saved; the next run continues from the"),
    ],
)
def test_what_is_said_at_a_stop_is_true(
    train_split, valid_split, cpu, tmp_path, monkeypatch, caplog, full, said
):
    def no_room(*args, **kwargs):
        raise ArtifactError("x.pt: cannot be written: No space left on device")

    caplog.set_level("INFO")
    model = build_model("compact", n_classes=2, seed=0)
    recipe = dataclasses.replace(RECIPE, epochs=1)
    fitting = Fitting(model, train_split, valid_split, recipe, compute=cpu)
    if full:
        monkeypatch.setattr(Checkpoints, "save", no_room)
    session = Session(fitting, Checkpoints(tmp_path), every_s=60)
    with Progress("train", total=fitting.images_left, shown=False) as progress:
        running = session.run(progress)
        monkeypatch.setattr(
            progress, "advance", lambda *a, **k: os.kill(os.getpid(), signal.SIGTERM)
        )
        with pytest.raises(SystemExit) as stopped:
            next(running)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert said in caplog.text
    assert bool(list(tmp_path.glob("*.pt"))) is not full
