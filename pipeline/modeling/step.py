"""One optimizer step, and the loss that it follows."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from pipeline.modeling.device import Compute


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    inputs: Tensor,
    targets: Tensor,
    *,
    label_smoothing: float,
    compute: Compute,
    class_weights: Tensor | None = None,
    parts: int = 1,
    clip_norm: float | None = None,
) -> Tensor:
    """Take one optimizer step and return the batch's mean loss in nats, still on the device.

    Args:
        model: what is trained.
        optimizer: over the model's parameters.
        inputs: (N, ...); uint8 pixels (N, H, W, 3) for a `Classifier`.
        targets: int64 labels (N,), or float shares of the classes (N, K).
        label_smoothing: share of a target that is spread over all classes.
        compute: where the model lives.
        class_weights: (K,), of the loss; the mean is divided by the weights of the batch's labels.
        parts: the batch goes through the network in so many parts whose gradients are summed, which
            takes less memory and gives the same step, save for batch norm, which sees a part only.
        clip_norm: the gradient's largest L2 norm over all parameters; None does not clip.
    """
    inputs, targets = inputs.to(compute.device), targets.to(compute.device)
    total = torch.zeros((), device=compute.device)
    whole = _weight(targets, class_weights)
    for x, y in zip(inputs.chunk(parts), targets.chunk(parts), strict=True):
        with compute.autocast():
            logits = model(x)
        loss = F.cross_entropy(
            logits.float(), y, weight=class_weights, label_smoothing=label_smoothing
        )
        if parts > 1:
            loss = loss * (_weight(y, class_weights) / whole)
        loss.backward()  # type: ignore[no-untyped-call]
        total = total + loss.detach()
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total


def balancing_weights(labels: NDArray[np.int64], *, n_classes: int) -> Tensor:
    """Return loss weights (K,) under which every class counts alike: N / (K n_k).

    A class without images gets 0. Source: King & Zeng 2001, Logistic Regression in Rare Events
    Data; scikit-learn's `class_weight="balanced"`.
    """
    counts = np.bincount(labels, minlength=n_classes)
    weights = np.zeros(n_classes)
    np.divide(len(labels), n_classes * counts, out=weights, where=counts > 0)
    return torch.from_numpy(weights).float()


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Tell whether no tensor holds NaN or infinity; one wait for the device."""
    finite = [torch.isfinite(t).all() for t in tensors if t.is_floating_point()]
    return bool(torch.stack(finite).all()) if finite else True


def _weight(targets: Tensor, class_weights: Tensor | None) -> Tensor | int:
    """Return what cross-entropy divides the sum of a batch's losses by."""
    if class_weights is None or targets.is_floating_point():
        return len(targets)
    return class_weights[targets].sum()
