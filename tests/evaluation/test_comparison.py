"""The verdict on two models against published and hand-worked figures."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from pipeline.core.artifacts import Prediction, Predictions
from pipeline.core.errors import DataError
from pipeline.evaluation.comparison import (
    Comparison,
    compare,
    mcnemar_exact,
    p_text,
    pair_up,
    paired_difference,
)

CLASSES = ("cat", "dog")


def predictions(rows, classes=CLASSES):
    """Return predictions of (path, label, probability of a dog) rows."""
    made = []
    for path, label, dog in rows:
        probs = (1 - dog, dog)
        loss = -math.log(probs[CLASSES.index(label)])
        made.append(Prediction(path, label, CLASSES[int(dog > 0.5)], loss, probs))
    return Predictions(classes, tuple(made))


def models(*, both=0, fixed=0, broken=0, neither=0):
    """Return two models' predictions of cats with so many images of each kind."""
    kinds = [(True, True)] * both + [(False, True)] * fixed
    kinds += [(True, False)] * broken + [(False, False)] * neither
    old, new = (
        predictions([(f"{k:04d}", "cat", 0.1 if kind[i] else 0.9) for k, kind in enumerate(kinds)])
        for i in range(2)
    )
    return old, new


def compared(old, new, n_resamples=200) -> Comparison:
    return compare(old, new, rng=np.random.default_rng(0), n_resamples=n_resamples)


@pytest.mark.parametrize(
    ("fixed", "broken", "p"),
    [
        (1, 7, 0.0703125),  # Fagerland, Lydersen and Laake 2013, airway data: 0.070
        (8, 1, 20 / 512),  # by hand: 2 (1 + 9) / 2^9
        (5, 0, 2 / 32),
        (6, 0, 2 / 64),
        (3, 3, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemars_exact_test(fixed, broken, p):
    assert mcnemar_exact(fixed, broken) == pytest.approx(p)
    assert mcnemar_exact(broken, fixed) == pytest.approx(p)


def test_a_thousand_errors_fixed_is_better_and_broken_is_worse():
    old, new = models(both=90, fixed=9, broken=1)  # p = 2 * 11 / 1024
    found = compared(old, new)
    assert (found.verdict, len(found.fixed), len(found.broken)) == ("better", 9, 1)
    assert found.p_value == pytest.approx(22 / 1024)
    assert found.accuracy.difference == pytest.approx(0.08)
    assert compared(new, old).verdict == "worse"
    assert found.sentence("old", "new") == (
        "new is better than old: new is right on 9 images that old gets wrong, and wrong on "
        "1 image that old gets right (McNemar's exact test: p = 0.021, n = 100)"
    )


def test_a_difference_that_chance_makes_is_no_evidence():
    found = compared(*models(both=300, fixed=5, broken=0))  # p = 0.0625
    assert found.verdict == "no evidence"
    assert found.sentence("a", "b").startswith(
        "no evidence at n = 305 that b is better or worse than a: b is right on 5 images"
    )


def test_equal_models_do_not_differ_at_all():
    old, _ = models(both=30, neither=3)
    found = compared(old, old)
    assert (found.p_value, found.verdict) == (1.0, "no evidence")
    for figure in (found.accuracy, found.log_loss):
        assert (figure.difference, figure.low, figure.high) == (0, 0, 0)


def test_the_bootstrap_interval_is_the_normal_one_of_many_images():
    rng = np.random.default_rng(3)
    values = rng.exponential(size=(2000, 2)) + np.array([0.0, 0.1])
    found = paired_difference(values, rng=np.random.default_rng(0), n_resamples=4000)
    differences = values[:, 1] - values[:, 0]
    low, high = stats.norm.interval(0.95, differences.mean(), stats.sem(differences))
    width = high - low
    assert found.low == pytest.approx(low, abs=0.05 * width)
    assert found.high == pytest.approx(high, abs=0.05 * width)
    assert found.difference == pytest.approx(differences.mean())
    again = paired_difference(values, rng=np.random.default_rng(0), n_resamples=4000)
    assert again == found


def test_what_both_models_share_does_not_widen_the_interval():
    # The images differ by far more than the models: pairing takes that out.
    hard = np.random.default_rng(0).exponential(10, 500)
    found = paired_difference(
        np.stack([hard, hard - 0.1], 1), rng=np.random.default_rng(0), n_resamples=200
    )
    assert (found.low, found.high) == pytest.approx((-0.1, -0.1))


def test_images_are_paired_by_path_and_the_others_counted():
    old = predictions([("a", "cat", 0.1), ("b", "cat", 0.9), ("c", "dog", 0.9)])
    new = predictions([("b", "cat", 0.2), ("c", "dog", 0.8), ("d", "dog", 0.8), ("e", "cat", 0.1)])
    found = compared(old, new)
    assert (found.n, found.n_only_old, found.n_only_new) == (2, 1, 2)
    assert [pair.path for pair in found.fixed] == ["b"]
    assert found.broken == ()
    assert found.log_loss.old == pytest.approx((-math.log(0.1) - math.log(0.9)) / 2)
    assert found.log_loss.new == pytest.approx((-math.log(0.8) - math.log(0.8)) / 2)


def test_a_corrected_label_counts_for_both_models():
    # Both call b a dog. Its label was cat, which made the old model wrong, and is dog now.
    old = predictions([("a", "cat", 0.1), ("b", "cat", 0.9)])
    new = predictions([("a", "cat", 0.1), ("b", "dog", 0.8)])
    found = compared(old, new)
    assert found.relabelled == ("b",)
    assert (found.fixed, found.broken) == ((), ())
    assert (found.accuracy.old, found.accuracy.new) == (1, 1)
    assert found.log_loss.old == pytest.approx(-math.log(0.9))


def test_on_a_corrected_label_both_models_pay_for_what_the_table_holds():
    # predictions.csv has six digits of a probability, and more of a loss: 4e-7 reads as 0.
    old = predictions([("a", "cat", 0.5), ("b", "cat", 0.1)])
    rows = [Prediction(r.path, r.label, r.predicted, r.loss, (1.0, 0.0)) for r in old.rows]
    new = [Prediction(r.path, "dog", r.predicted, 14.7, r.probs) for r in rows]
    found = compared(Predictions(CLASSES, tuple(rows)), Predictions(CLASSES, tuple(new)))
    assert found.log_loss.old == found.log_loss.new == pytest.approx(-math.log(5e-7))


def test_the_surest_mistakes_come_first():
    old = predictions([("a", "cat", 0.6), ("b", "cat", 0.9), ("c", "cat", 0.1), ("d", "cat", 0.2)])
    new = predictions([("a", "cat", 0.1), ("b", "cat", 0.1), ("c", "cat", 0.7), ("d", "cat", 0.8)])
    found = compared(old, new)
    assert [pair.path for pair in found.fixed] == ["b", "a"]
    assert [pair.path for pair in found.broken] == ["d", "c"]


def test_the_order_of_the_classes_does_not_matter():
    old = predictions([("a", "cat", 0.1), ("b", "cat", 0.9)])
    rows = tuple(Prediction(r.path, "dog", r.predicted, r.loss, r.probs[::-1]) for r in old.rows)
    found = compared(old, Predictions(CLASSES[::-1], rows))
    assert found.log_loss.old == pytest.approx(-(math.log(0.1) + math.log(0.9)) / 2)


def test_other_classes_and_other_images_cannot_be_compared():
    old = predictions([("a", "cat", 0.1)])
    with pytest.raises(DataError, match="only old 'dog', only new 'wolf'"):
        pair_up(old, Predictions(("cat", "wolf"), old.rows))
    with pytest.raises(DataError, match="0 test images in both, of 1 and 1"):
        compared(old, predictions([("b", "cat", 0.1)]))
    with pytest.raises(DataError, match="1 test images in both"):
        compared(old, old)


def test_the_json_is_json():
    content = compared(*models(both=20, fixed=2)).to_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["fixed"] == ["0020", "0021"]
    assert content["accuracy"]["new"] == 1


@pytest.mark.parametrize(("p", "text"), [(1.0, "1"), (0.0371, "0.037"), (2e-9, "< 0.0001")])
def test_p_values_are_written_as_people_write_them(p, text):
    assert p_text(p) == text
