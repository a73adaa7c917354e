"""The gate that an exported model must pass: the checkpoint's answers on real images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pipeline.core.errors import ExportError
from pipeline.imaging.preprocess import Pixels
from pipeline.inference.classifier import OnnxClassifier
from pipeline.modeling.device import Compute
from pipeline.modeling.predict import predict_logits

BATCH_SIZES = (1, 7, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far the exported model is from the checkpoint."""

    n: int
    """Images compared, at each of the batch sizes."""
    max_prob_diff: float
    """Largest difference of a probability, over images, classes and batch sizes."""
    flipped: tuple[str, ...]
    """Images whose predicted class differs, at any batch size."""


def with_extremes(pixels: Pixels, paths: Sequence[str]) -> tuple[Pixels, list[str]]:
    """Append a black, a white and a noise image."""
    shape = pixels.shape[1:]
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    extremes = np.stack([np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), noise])
    return np.concatenate([pixels, extremes]), [*paths, "(black)", "(white)", "(noise)"]


def measure_parity(
    model: nn.Module,
    classifier: OnnxClassifier,
    pixels: Pixels,
    paths: Sequence[str],
    *,
    compute: Compute,
) -> Parity:
    """Compare the two on every image at every batch size.

    Args:
        model: the checkpoint.
        classifier: the exported file, reloaded.
        pixels: (N, H, W, 3) uint8.
        paths: N names, for the message.
        compute: where the checkpoint runs, in fp32.
    """
    expected = predict_logits(model, pixels, compute=compute).double().softmax(1).numpy()
    largest, flipped = 0.0, set()
    for batch_size in BATCH_SIZES:
        found = np.concatenate(list(_batches(classifier, pixels, batch_size)))
        largest = max(largest, float(np.abs(found - expected).max()))
        flipped.update(np.flatnonzero(found.argmax(1) != expected.argmax(1)).tolist())
    return Parity(
        n=len(pixels),
        max_prob_diff=largest,
        flipped=tuple(paths[index] for index in sorted(flipped)),
    )


def require_parity(parity: Parity, *, max_prob_diff: float) -> None:
    """Check the limits.

    Raises:
        ExportError: a probability differs by more than the limit, or a predicted class differs.
    """
    if parity.max_prob_diff > max_prob_diff or parity.flipped:
        raise ExportError(
            f"the exported model disagrees with the checkpoint: a probability differs by "
            f"{parity.max_prob_diff:.2g}, limit {max_prob_diff:.2g} (export_onnx.max_prob_diff); "
            f"{len(parity.flipped)} of {parity.n} labels flipped {list(parity.flipped[:5])}; "
            "try another export_onnx.opset"
        )


def _batches(
    classifier: OnnxClassifier, pixels: Pixels, batch_size: int
) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(pixels), batch_size):
        yield classifier.predict(pixels[start : start + batch_size])
