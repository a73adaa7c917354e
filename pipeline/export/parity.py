"""The gate that an exported model must pass: the checkpoint's answers on real images.

The file is loaded in a process of its own, as a server loads it, and asked in batches of several
sizes. Logits, probabilities, predicted classes and metrics must be those of the checkpoint.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import pipeline
from pipeline.core.atomic import write_bytes, write_sha256
from pipeline.core.errors import ExportError
from pipeline.imaging.preprocess import Pixels
from pipeline.imaging.spec import ModelSpec
from pipeline.inference.replay import Answers, read_answers
from pipeline.modeling.device import Compute
from pipeline.modeling.predict import loss_and_accuracy, predict_logits
from pipeline.modeling.zoo import Classifier, head_parameters
from pipeline.packing.packed import PackedSplit

BATCH_SIZES = (1, 7, 32)
EXTREMES = ("(black)", "(white)", "(noise)")
SHOWN = 5
"""Flipped labels named in a message; all are in the metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the checkpoint says about the images of the gate."""

    pixels: Pixels
    """(N, S, S, 3): real images, then black, white and noise."""
    paths: tuple[str, ...]
    """N names."""
    labels: NDArray[np.int64]
    """(M,) true classes of the real images, which come first."""
    logits: NDArray[np.float64]
    """(N, K)."""
    probs: NDArray[np.float64]
    """(N, K), after the temperature."""
    bias: NDArray[np.float64]
    """(K,) of the last layer, which a class activation map leaves out."""

    @property
    def real_paths(self) -> tuple[str, ...]:
        """Names of the real images, M of them."""
        return self.paths[: len(self.labels)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far an exported model is from the checkpoint, over images, classes and batch sizes."""

    n: int
    """Images compared, at each of the batch sizes."""
    batch_sizes: tuple[int, ...]
    max_logit_diff: float
    prob_diffs: tuple[float, ...]
    """Largest difference of a probability of each image."""
    max_cam_diff: float | None
    """Largest difference of a logit from its map's mean plus bias; None without maps."""
    flipped: tuple[str, ...]
    """Images whose predicted class differs, at any batch size."""
    accuracy: float
    """Of the exported model on the real images, where it differs most from the checkpoint's."""
    accuracy_diff: float
    """That minus the checkpoint's."""
    log_loss: float
    """As `accuracy`, nats."""
    log_loss_diff: float

    @property
    def max_prob_diff(self) -> float:
        """Largest difference of a probability."""
        return max(self.prob_diffs)

    def in_words(self) -> str:
        """Return one line for the log."""
        return (
            f"largest difference of a logit {self.max_logit_diff:.2g}, of a probability "
            f"{self.max_prob_diff:.2g}, accuracy {self.accuracy_diff:+.4f}, {len(self.flipped)} "
            f"labels flipped, n = {self.n} in batches of {', '.join(map(str, self.batch_sizes))}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the gate lets pass."""

    max_logit_diff: float
    max_prob_diff: float
    max_flipped: int
    max_metric_diff: float
    """Of accuracy and log loss."""
    max_accuracy_drop: float
    """Of the quantised model, whose logits and probabilities have no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What every exported file goes through."""

    reference: Reference
    limits: Limits
    threads: int

    def check(self, content: bytes) -> Parity:
        """Require that a model file answers as the checkpoint does; errors as in `ask`."""
        parity = self._measure(content, BATCH_SIZES)
        require_parity(parity, self.limits)
        return parity

    def check_accuracy(self, content: bytes) -> Parity:
        """Require that a quantised model file is as often right; errors as in `ask`."""
        parity = self._measure(content, BATCH_SIZES[-1:])
        require_accuracy(parity, max_drop=self.limits.max_accuracy_drop)
        return parity

    def _measure(self, content: bytes, batch_sizes: Sequence[int]) -> Parity:
        pixels = self.reference.pixels
        found = ask(content, pixels, batch_sizes=batch_sizes, threads=self.threads)
        return compare(self.reference, found)


def refer(
    model: Classifier,
    spec: ModelSpec,
    split: PackedSplit,
    *,
    n_images: int,
    compute: Compute,
) -> Reference:
    """Ask the checkpoint, in fp32, about up to `n_images` of a split and the extremes."""
    rows = spread(len(split), n_images)
    pixels = np.concatenate([split.pixels[rows], _extremes(split.pixels.shape[1])])
    logits = predict_logits(model, pixels, compute=compute).double()
    bias = [parameter for parameter in head_parameters(model) if parameter.dim() == 1]
    return Reference(
        pixels=pixels,
        paths=(*(split.paths[row] for row in rows), *EXTREMES),
        labels=split.labels[rows],
        logits=logits.numpy(),
        probs=(logits / spec.temperature).softmax(1).numpy(),
        bias=bias[0].detach().double().numpy() if bias else np.zeros(logits.shape[1]),
    )


def spread(n_images: int, n_wanted: int) -> NDArray[np.int64]:
    """Return up to `n_wanted` rows, evenly spread: images are sorted by class."""
    return np.unique(np.linspace(0, n_images - 1, min(n_images, n_wanted)).round().astype(np.int64))


def ask(
    content: bytes, pixels: Pixels, *, batch_sizes: Sequence[int], threads: int
) -> dict[int, Answers]:
    """Return what a model file answers in a clean process, at each batch size.

    Raises:
        ExportError: it does not load there, or fails at one of the sizes.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, images, out = folder / "model.onnx", folder / "pixels.npy", folder / "out.npz"
        write_bytes(model, content)
        write_sha256(model)
        np.save(images, pixels)
        command = (
            *(sys.executable, "-m", "pipeline.inference.replay"),
            *(str(model), str(images), str(out), "--threads", str(threads)),
            *("--batch-sizes", *map(str, batch_sizes)),
        )
        top = Path(pipeline.__file__ or "").resolve().parents[1]
        done = subprocess.run(command, cwd=top, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            detail = last.replace(f"{folder}/", "")
            raise ExportError(f"the exported model does not run in a clean process: {detail}")
        return read_answers(out, tuple(batch_sizes))


def compare(reference: Reference, found: Mapping[int, Answers]) -> Parity:
    """Compare the answers at every batch size with the checkpoint's.

    Raises:
        ExportError: an answer has another shape.
    """
    n_real = len(reference.labels)
    labels = torch.from_numpy(reference.labels)
    loss, accuracy = loss_and_accuracy(_log(reference.probs[:n_real]), labels)
    figures, flipped = [], set()
    for size, answers in found.items():
        if not answers.probs.shape == answers.logits.shape == reference.logits.shape:
            raise ExportError(
                f"in batches of {size}, probabilities have the shape {answers.probs.shape} and "
                f"logits {answers.logits.shape}, expected {reference.logits.shape}"
            )
        figures.append(loss_and_accuracy(_log(answers.probs[:n_real]), labels))
        differs = answers.probs.argmax(1) != reference.probs.argmax(1)
        flipped.update(np.flatnonzero(differs).tolist())
    prob_diffs = np.stack(
        [np.abs(each.probs - reference.probs).max(axis=1) for each in found.values()]
    )
    cams = [each.cam_means for each in found.values() if each.cam_means is not None]
    expected_cam = reference.logits - reference.bias
    worst_loss = max((figure[0] for figure in figures), key=lambda value: abs(value - loss))
    worst_accuracy = max((figure[1] for figure in figures), key=lambda value: abs(value - accuracy))
    return Parity(
        n=len(reference.paths),
        batch_sizes=tuple(found),
        max_logit_diff=max(_largest(a.logits - reference.logits) for a in found.values()),
        prob_diffs=tuple(prob_diffs.max(axis=0).tolist()),
        max_cam_diff=max((_largest(cam - expected_cam) for cam in cams), default=None),
        flipped=tuple(reference.paths[index] for index in sorted(flipped)),
        accuracy=worst_accuracy,
        accuracy_diff=worst_accuracy - accuracy,
        log_loss=worst_loss,
        log_loss_diff=worst_loss - loss,
    )


def require_parity(parity: Parity, limits: Limits) -> None:
    """Check the limits.

    Raises:
        ExportError: one of them is passed; the message names them all.
    """
    excess = [
        f"{name} differs by {value:.2g}, limit {limit:g} (export_onnx.{key})"
        for name, value, limit, key in (
            ("a logit", parity.max_logit_diff, limits.max_logit_diff, "max_logit_diff"),
            ("a map", parity.max_cam_diff or 0.0, limits.max_logit_diff, "max_logit_diff"),
            ("a probability", parity.max_prob_diff, limits.max_prob_diff, "max_prob_diff"),
            ("accuracy", abs(parity.accuracy_diff), limits.max_metric_diff, "max_metric_diff"),
            ("log loss", abs(parity.log_loss_diff), limits.max_metric_diff, "max_metric_diff"),
        )
        if not value <= limit
    ]
    if len(parity.flipped) > limits.max_flipped:
        excess.append(
            f"{len(parity.flipped)} of {parity.n} labels flipped {list(parity.flipped[:SHOWN])}, "
            f"limit {limits.max_flipped} (export_onnx.max_flipped)"
        )
    if excess:
        raise ExportError(
            f"the exported model disagrees with the checkpoint: {'; '.join(excess)}; "
            "try another export_onnx.exporter or opset"
        )


def require_accuracy(parity: Parity, *, max_drop: float) -> None:
    """Check what quantising cost.

    Raises:
        ExportError: accuracy on the real images fell by more than `max_drop`, a fraction.
    """
    if -parity.accuracy_diff > max_drop:
        raise ExportError(
            f"INT8 is right on {parity.accuracy:.4f} of the validation images, "
            f"{-parity.accuracy_diff:.4f} less than the checkpoint, limit {max_drop:g} "
            "(export_onnx.int8_max_accuracy_drop)"
        )


def _extremes(size_px: int) -> Pixels:
    """Return a black, a white and a noise image."""
    shape = (size_px, size_px, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return np.stack([np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), noise])


def _largest(difference: NDArray[np.float64]) -> float:
    return float(np.abs(difference).max())


def _log(probs: NDArray[np.float64] | NDArray[np.float32]) -> torch.Tensor:
    """Return log-probabilities, whose softmax is `probs` again; zero stays finite."""
    return torch.from_numpy(probs).double().clamp_min(1e-300).log()
