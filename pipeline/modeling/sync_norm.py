"""Batch norm over the images of all processes of a group, so that they take one step.

On GPUs this is torch's SyncBatchNorm, which knows no CPU; there it is `GroupBatchNorm`.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.modeling.group import Group
from pipeline.modeling.zoo import Classifier


def synchronized(model: Classifier, group: Group, *, device: torch.device) -> Classifier:
    """Return the model with every batch norm made one of the group, in place where it can be.

    The parameters and the keys of the state dict stay the same; in evaluation nothing is sent.
    """
    if group.size == 1:
        return model
    if device.type != "cpu":
        return cast(Classifier, nn.SyncBatchNorm.convert_sync_batchnorm(model))  # type: ignore[no-untyped-call]
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(module, name, GroupBatchNorm(child, group))
    return model


class GroupBatchNorm(_BatchNorm):
    """Batch norm with the statistics of the whole batch; it takes over what `norm` holds.

    Source: Ioffe and Szegedy 2015, Batch Normalization, section 3.
    """

    def __init__(self, norm: _BatchNorm, group: Group) -> None:
        super().__init__(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers(recurse=False):
            setattr(self, name, buffer)
        self.training, self._group = norm.training, group

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any shape (N, C, ...)."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        count, mean, var = _moments(input, self._group)
        self._track(mean, var * count / max(count - 1, 1))
        return cast(
            Tensor,
            _Normalized.apply(
                input, self.weight, self.bias, mean, var, count, self.eps, self._group
            ),
        )

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var, share)


class _Normalized(torch.autograd.Function):
    """The normalised input; its backward pass adds up two sums over the group."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        count: int,
        eps: float,
        group: Group,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var)
        ctx.count, ctx.eps, ctx.group = count, eps, group
        return F.batch_norm(x, mean, var, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var = ctx.saved_tensors
        normal = F.batch_norm(x.float(), mean, var, eps=ctx.eps)
        grad = grad.float()
        dims = _all_but_channels(x)
        sums = torch.stack([part.sum(dims, dtype=torch.float64) for part in (grad, grad * normal)])
        own = sums.clone().float()
        ctx.group.add_up(sums)
        grad_mean, slope = (_along(part.float(), x) for part in sums / ctx.count)
        scale = (var + ctx.eps).rsqrt() * (1 if weight is None else weight)
        found = (grad - grad_mean - normal * slope) * _along(scale, x)
        affine = (None, None) if weight is None else (own[1], own[0])
        return found.to(x.dtype), *affine, None, None, None, None, None


@torch.no_grad()
def _moments(x: Tensor, group: Group) -> tuple[int, Tensor, Tensor]:
    """Return values per channel, and their mean and variance (C,), over the whole group."""
    n_channels = x.shape[1]
    var, mean = torch.var_mean(x.float(), _all_but_channels(x), correction=0)
    var, mean = var.double(), mean.double()  # in which the square of the mean cancels well
    count = torch.tensor([x.numel() // n_channels], dtype=torch.float64)
    sums = torch.cat([mean * count, (var + mean * mean) * count, count])
    group.add_up(sums)
    mean, square = sums[:-1].view(2, n_channels) / sums[-1]
    return int(sums[-1]), mean.float(), (square - mean * mean).float()


def _all_but_channels(x: Tensor) -> list[int]:
    return [0, *range(2, x.ndim)]


def _along(values: Tensor, x: Tensor) -> Tensor:
    """Shape (C,) values so that they broadcast over (N, C, ...)."""
    return values.view(1, -1, *[1] * (x.ndim - 2))
