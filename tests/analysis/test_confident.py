"""Confident learning: a case worked by hand, and the definition spelled out anew."""

import numpy as np

from pipeline.analysis.confident import doubt, self_confidence

PROBS = np.array(
    [
        [0.9, 0.1],  # cat: t_cat = (0.9 + 0.7 + 0.2) / 3 = 0.6
        [0.7, 0.3],
        [0.2, 0.8],  # a cat with P(dog) = 0.8 >= t_dog = 0.65: counted as a dog
        [0.4, 0.6],  # dog: t_dog = (0.6 + 0.9 + 0.45) / 3 = 0.65
        [0.1, 0.9],
        [0.55, 0.45],  # wrong, but 0.55 < 0.6: below both thresholds, counted nowhere
    ]
)
LABELS = np.array([0, 0, 0, 1, 1, 1])


def test_the_thresholds_are_the_mean_probabilities_of_the_own_label() -> None:
    assert np.allclose(self_confidence(PROBS, LABELS), [0.6, 0.65])


def test_a_case_worked_by_hand() -> None:
    doubts = doubt(PROBS, LABELS)
    assert doubts.true.tolist() == [0, 0, 1, 1, 1, 1]
    assert doubts.joint.tolist() == [[2, 1], [0, 1]]  # images 4 and 6 reach no threshold
    assert np.allclose(doubts.margins, [0.8, 0.4, -0.6, 0.2, 0.8, -0.1])
    assert doubts.rivals.tolist() == [1, 1, 1, 0, 0, 0]


def test_of_two_classes_that_reach_their_thresholds_the_likelier_counts() -> None:
    # By hand: t = (0.5, 0.4, 0.3); the first image reaches those of b and c, and c is likelier.
    probs = np.array([[0.15, 0.41, 0.44], [0.85, 0.1, 0.05], [0.3, 0.4, 0.3], [0.4, 0.3, 0.3]])
    doubts = doubt(probs, np.array([0, 0, 1, 2]))
    assert np.allclose(doubts.thresholds, [0.5, 0.4, 0.3])
    assert doubts.true.tolist() == [2, 0, 1, 2]


def test_the_confident_joint_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet((0.5, 0.5, 0.5, 0.5), 300)
    labels = np.where(rng.random(300) < 0.7, probs.argmax(1), rng.integers(0, 4, 300))
    joint = np.zeros((4, 4), int)
    means = [probs[labels == j, j].mean() for j in range(4)]
    for row, label in zip(probs.tolist(), labels.tolist(), strict=True):
        reached = {row[j]: j for j in range(4) if row[j] >= means[j]}
        if reached:
            joint[label, reached[max(reached)]] += 1
    assert doubt(probs, labels).joint.tolist() == joint.tolist()


def test_a_class_without_images_is_never_suggested() -> None:
    doubts = doubt(np.array([[0.1, 0.2, 0.7], [0.1, 0.3, 0.6]]), np.array([0, 1]))
    assert doubts.thresholds[2] == np.inf
    assert 2 not in doubts.true
