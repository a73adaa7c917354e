"""What a model says to pictures of none of its classes, counted."""

import hashlib
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from colour import SIZE_PX, colour_model
from onnx import helper

from pipeline.card.neither import ask_about_neither
from pipeline.card.probes import KINDS, probe_images
from pipeline.imaging.preprocess import preprocess
from pipeline.imaging.spec import PreprocessSpec, spec_from_json
from pipeline.inference.classifier import OnnxClassifier

# Wilson 1927 for 20 of 20: n / (n + z^2), z = 1.959964.
ALL_OF_20_LOW = 20 / (20 + 1.959964**2)


def classifier(folder: Path, *, threshold: float | None) -> OnnxClassifier:
    """Return the softmax of (blue, green, red) means over 32, with a threshold."""
    model = colour_model()
    (prop,) = model.metadata_props
    spec = replace(spec_from_json(prop.value, where="test"), threshold=threshold)
    helper.set_model_props(model, {"spec": spec.to_json()})
    path, content = folder / "model.onnx", model.SerializeToString()
    path.write_bytes(content)
    (folder / "model.onnx.sha256").write_text(
        f"{hashlib.sha256(content).hexdigest()}  model.onnx\n"
    )
    return OnnxClassifier(path, device="cpu")


@pytest.mark.parametrize("threshold", [None, 0.0])
def test_a_model_that_is_never_unsure_is_sure_about_every_picture(tmp_path, threshold):
    found = ask_about_neither(classifier(tmp_path, threshold=threshold), n_images=20, seed=0)
    every = found["all"]
    assert (every["n"], every["n_sure"], every["sure"], every["sure_high"]) == (20, 20, 1.0, 1.0)
    assert every["sure_low"] == pytest.approx(ALL_OF_20_LOW, abs=1e-6)
    assert sum(every["answers"].values()) == 20


def test_a_threshold_of_one_leaves_nothing_sure(tmp_path):
    found = ask_about_neither(classifier(tmp_path, threshold=1.0), n_images=20, seed=0)
    assert found["all"]["n_sure"] == 0
    assert found["all"]["sure_high"] == pytest.approx(1 - ALL_OF_20_LOW, abs=1e-6)


def test_the_share_is_that_of_the_probabilities_worked_by_hand(tmp_path):
    spec = PreprocessSpec(size_px=SIZE_PX)
    means = np.stack([preprocess(i, spec).mean(axis=(0, 1)) for _, i in probe_images(40, seed=3)])
    powers = np.exp(means / 32)
    confidence = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
    found = ask_about_neither(classifier(tmp_path, threshold=0.7), n_images=40, seed=3)
    assert found["all"]["n_sure"] == int((confidence >= 0.7).sum())
    assert 0 < found["all"]["n_sure"] < 40
    assert found["all"]["median_confidence"] == pytest.approx(np.median(confidence), abs=1e-4)
    assert {kind: row["n"] for kind, row in found["kinds"].items()} == dict.fromkeys(KINDS, 10)


def test_a_longer_list_of_pictures_begins_with_the_shorter_one():
    few = [(kind, image.tobytes()) for kind, image in probe_images(8, seed=1)]
    many = [(kind, image.tobytes()) for kind, image in islice(probe_images(50, seed=1), 8)]
    assert few == many
    assert len({content for _, content in few}) == 8
    other = [(kind, image.tobytes()) for kind, image in probe_images(8, seed=2)]
    assert not {content for _, content in few} & {content for _, content in other}


def test_pictures_of_a_kind_look_different_from_each_other():
    # A generator stuck on one colour or one scene would make the interval a lie.
    for kind in KINDS:
        means = [np.asarray(i).mean() for k, i in probe_images(80, seed=0) if k == kind]
        assert len(means) == 20
        assert np.std(means) > 1, kind
