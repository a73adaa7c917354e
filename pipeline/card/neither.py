"""How often the model is sure about pictures that show none of its classes."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.card.probes import probe_images
from pipeline.evaluation.interval import rounded, wilson_interval
from pipeline.imaging.preprocess import preprocess
from pipeline.inference.classifier import OnnxClassifier

BATCH = 32
Answer = tuple[str, str, float]
"""Kind of picture, predicted class, probability of this class."""


def ask_about_neither(classifier: OnnxClassifier, *, n_images: int, seed: int) -> dict[str, Any]:
    """Ask the model about drawn pictures of none of its classes.

    Returns:
        Figures for `all` and for each of `kinds`: `n`; `n_sure` and the share `sure` with its 95 %
        interval, of the answers that are not `unsure` (all of them where the model has no
        threshold); `median_confidence`; and `answers`, how often each class was predicted.
    """
    answers = list(_answers(classifier, n_images=n_images, seed=seed))
    threshold = classifier.spec.threshold
    kinds = sorted({kind for kind, _, _ in answers})
    return {
        "all": _figures(answers, threshold),
        "kinds": {
            kind: _figures([a for a in answers if a[0] == kind], threshold) for kind in kinds
        },
    }


def _answers(classifier: OnnxClassifier, *, n_images: int, seed: int) -> Iterator[Answer]:
    probes = probe_images(n_images, seed=seed)
    while batch := list(islice(probes, BATCH)):
        pixels = np.stack([preprocess(image, classifier.spec.preprocess) for _, image in batch])
        probs: NDArray[np.float32] = classifier.predict(pixels)
        for (kind, _), row in zip(batch, probs, strict=True):
            yield kind, classifier.spec.classes[int(row.argmax())], float(row.max())


def _figures(answers: list[Answer], threshold: float | None) -> dict[str, Any]:
    n_sure = sum(threshold is None or confidence >= threshold for _, _, confidence in answers)
    low, high = wilson_interval(n_sure, len(answers))
    return {
        "n": len(answers),
        "n_sure": n_sure,
        "sure": rounded(n_sure / len(answers)),
        "sure_low": rounded(low),
        "sure_high": rounded(high),
        # Four digits: the last bits of a probability differ between CPUs.
        "median_confidence": round(float(np.median([c for _, _, c in answers])), 4),
        "answers": dict(sorted(Counter(label for _, label, _ in answers).items())),
    }
