"""Predictions small enough to rank by hand."""

import pytest

from pipeline.core.artifacts import Prediction, Predictions


@pytest.fixture
def predictions() -> Predictions:
    """Six images of two classes: cats a, b, c (c wrong), dogs d, e, f (e and f wrong)."""
    return Predictions(
        ("cat", "dog"),
        (
            Prediction("cat/a.jpg", "cat", "cat", 0.105361, (0.9, 0.1)),
            Prediction("cat/b.jpg", "cat", "cat", 0.510826, (0.6, 0.4)),
            Prediction("cat/c.jpg", "cat", "dog", 1.609438, (0.2, 0.8)),
            Prediction("dog/d.jpg", "dog", "dog", 0.051293, (0.05, 0.95)),
            Prediction("dog/e.jpg", "dog", "cat", 0.733969, (0.52, 0.48)),
            Prediction("dog/f.jpg", "dog", "cat", 1.203973, (0.7, 0.3)),
        ),
    )
