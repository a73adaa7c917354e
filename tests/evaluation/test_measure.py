"""The figures of a whole evaluation, from logits whose truth is known."""

import json

import numpy as np
import pytest

from pipeline.core.errors import DataError
from pipeline.evaluation.calibration import calibration_figures, probabilities
from pipeline.evaluation.measure import Scored, in_words, measure
from pipeline.evaluation.metrics import summarize

CLASSES = ("a", "b", "c")


def scored(n, *, seed, views=1, temperature=2.0):
    """Return logits twice as sure as they may be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=4, size=(n, 3))
    labels = (logits / temperature + rng.gumbel(size=(n, 3))).argmax(1)
    noise = rng.normal(size=(views, n, 3)) * (np.arange(views) > 0)[:, None, None]
    return Scored(labels=labels, logits=(logits + noise).astype(np.float32))


SPLITS = {
    "train": scored(50, seed=0),
    "valid": scored(2000, seed=1),
    "test": scored(2000, seed=2, views=2),
}
WISHES = {"calibrate": True, "reject_risk": None, "reject_coverage": 0.9, "tta": "flip"}


def measured(**changes):
    return measure(SPLITS, classes=CLASSES, **{**WISHES, **changes})


def test_what_is_reported_is_what_is_served():
    found = measured()
    temperature = found.metrics["temperature"]
    assert temperature == pytest.approx(2, rel=0.1)
    for name, split in SPLITS.items():
        served = probabilities(split.logits[0], temperature=temperature)
        assert np.array_equal(found.probs[name], served)
    test = summarize(found.probs["test"], SPLITS["test"].labels, classes=CLASSES)
    assert {key: found.metrics[key] for key in test} == test
    valid = summarize(found.probs["valid"], SPLITS["valid"].labels, classes=CLASSES)
    assert found.metrics["valid"] == valid
    json.dumps(found.metrics, allow_nan=False)


def test_before_and_after_are_of_the_test_split():
    found = measured()
    labels = SPLITS["test"].labels
    calibration = found.metrics["calibration"]
    plain = probabilities(SPLITS["test"].logits[0], temperature=1)
    assert calibration["before"] == calibration_figures(plain, labels)
    assert calibration["after"] == calibration_figures(found.probs["test"], labels)
    assert calibration["after"]["log_loss"] == found.metrics["log_loss"]
    assert calibration["after"]["ece"] < calibration["before"]["ece"]
    assert calibration["n_fitted"] == 2000


def test_test_labels_decide_on_nothing():
    found = measured()
    shuffled = Scored(labels=SPLITS["test"].labels[::-1], logits=SPLITS["test"].logits)
    again = measure({**SPLITS, "test": shuffled}, classes=CLASSES, **WISHES)
    for name in ("temperature", "threshold", "valid"):
        assert again.metrics[name] == found.metrics[name]


def test_the_wanted_coverage_is_had_on_images_that_did_not_choose_the_threshold():
    found = measured().metrics
    assert found["reject"]["valid"]["coverage"] == pytest.approx(0.9, abs=5e-4)
    assert found["reject"]["test"]["coverage"] == pytest.approx(0.9, abs=0.03)
    assert found["reject"]["test"]["risk"] < 1 - found["accuracy"]
    assert found["reject"]["test"]["n"] == found["n"] == 2000


def test_the_wanted_risk_is_met_on_the_validation_images():
    found = measured(reject_risk=0.05, reject_coverage=None).metrics["reject"]
    assert found["valid"]["risk"] <= 0.05
    assert found["test"]["risk"] == pytest.approx(0.05, abs=0.02)


def test_without_a_wish_there_is_no_threshold_and_without_calibration_no_temperature():
    found = measured(reject_coverage=None, calibrate=False).metrics
    assert (found["threshold"], found["temperature"]) == (None, 1)
    assert found["reject"]["test"]["coverage"] == 1
    assert found["calibration"]["before"] == found["calibration"]["after"]
    assert (found["calibration"]["status"], found["calibration"]["n_fitted"]) == ("off", 0)


def test_views_are_averaged_as_probabilities_under_a_key_of_their_own():
    found = measured(tta="multi_crop").metrics
    test = SPLITS["test"]
    mean = (probabilities(test.logits[0], temperature=found["temperature"])
            + probabilities(test.logits[1], temperature=found["temperature"])) / 2  # fmt: skip
    assert found["multi_crop_tta"] == summarize(mean, test.labels, classes=CLASSES)
    assert "flip_tta" not in found
    assert found["multi_crop_tta"]["accuracy"] != found["accuracy"]


def test_a_single_view_has_no_key():
    test = Scored(labels=SPLITS["test"].labels, logits=SPLITS["test"].logits[:1])
    found = measure({**SPLITS, "test": test}, classes=CLASSES, **{**WISHES, "tta": "none"}).metrics
    assert not [key for key in found if key.endswith("_tta")]


def test_an_empty_split_is_an_error():
    empty = Scored(labels=np.zeros(0, int), logits=np.zeros((1, 0, 3)))
    with pytest.raises(DataError, match="N > 0"):
        measure({**SPLITS, "valid": empty}, classes=CLASSES, **WISHES)


def test_the_log_says_what_was_found():
    lines = in_words(measured().metrics)
    assert lines[0].startswith("test accuracy 0.")
    assert "(fitted)" in lines[1]
    assert lines[2].startswith("unsure below 0.")
    none = in_words(measured(reject_coverage=None).metrics)
    assert len(none) == 2
