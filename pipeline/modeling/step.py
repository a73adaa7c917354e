"""One optimizer step, and the loss that it follows."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from pipeline.modeling.device import Compute
from pipeline.modeling.group import ALONE, Group


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
    group: Group = ALONE,
) -> Tensor:
    """Take one optimizer step and return the batch's mean loss in nats, still on the device.

    In a group of processes each one brings rows of the batch, and all take the same step: that of
    one process with the whole batch.

    Args:
        model: what is trained.
        optimizer: over the model's parameters.
        inputs: (N, ...); uint8 pixels (N, H, W, 3) for a `Classifier`.
        targets: int64 labels (N,), or float shares of the classes (N, K).
        label_smoothing: share of a target that is spread over all classes.
        compute: where the model lives.
        class_weights: (K,), of the loss; the mean is divided by the weights of the batch's labels.
        parts: the batch goes through the network in so many parts, or fewer where they would be
            single images, whose gradients are summed. This takes less memory and gives the same
            step, save for batch norm, which sees a part only.
        clip_norm: the gradient's largest L2 norm over all parameters; None does not clip.
        group: who takes the step.
    """
    inputs, targets = inputs.to(compute.device), targets.to(compute.device)
    total = torch.zeros((), device=compute.device)
    whole = _weight(targets, class_weights)
    if group.size == 1:  # batch norm refuses a single image
        parts = max(1, min(parts, len(inputs) // 2))
    # In a group it waits for all processes in each part, so they must have equally many.
    rows = (torch.tensor_split(tensor, parts) for tensor in (inputs, targets))
    for x, y in zip(*rows, strict=True):
        with compute.autocast(), compute.gradients():
            logits = model(x)
        loss = F.cross_entropy(
            logits.float(), y, weight=class_weights, label_smoothing=label_smoothing
        )
        if group.size > 1:  # summed, for processes may bring parts of other weights
            loss = loss * _weight(y, class_weights)
        elif parts > 1:
            loss = loss * (_weight(y, class_weights) / whole)
        loss.backward()  # type: ignore[no-untyped-call]
        total = total + loss.detach()
    if group.size > 1:
        total = _average(model, total, whole, group)
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


def _average(model: nn.Module, total: Tensor, weight: Tensor | int, group: Group) -> Tensor:
    """Make sums of gradients and losses means over the group; return that of the losses.

    One message for all, after the backward pass.
    """
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    sizes = [grad.numel() for grad in grads]
    ends = [total.reshape(1), torch.as_tensor(weight, device=total.device).reshape(1).float()]
    sums = torch.cat([*(grad.reshape(-1) for grad in grads), *ends])
    group.add_up(sums)
    means = sums[:-1] / sums[-1]
    for grad, mean in zip(grads, torch.split(means[:-1], sizes), strict=True):
        grad.copy_(mean.view_as(grad))
    return means[-1]


def _weight(targets: Tensor, class_weights: Tensor | None) -> Tensor | int:
    """Return what cross-entropy divides the sum of a batch's losses by."""
    if class_weights is None or targets.is_floating_point():
        return len(targets)
    return class_weights[targets].sum()
