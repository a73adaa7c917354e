"""Optimizers by name, one rate for all parameter groups."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Muon, Optimizer

DEFAULT_LR = {"muon": 0.06, "sgd": 0.05, "adamw": 2e-3}
"""Peak rates for training from scratch with a batch of 64, used when lr_find has no answer."""
PRETRAINED_FACTOR = 0.1  # pretrained weights are near a good place already
MUON_REST_FACTOR = 1 / 3
"""Biases, batch norm and head follow SGD at this share of Muon's rate."""
MOMENTUM = 0.9


class MuonWithSgd(Optimizer):
    """torch's Muon on convolution kernels, SGD on everything else.

    Muon (Jordan et al. 2024) orthogonalises the momentum of matrices; torch's takes 2-D parameters
    only. A kernel (C_out, C_in, H, W) is presented as the matrix (C_out, H W C_in) that shares its
    memory. Both inner optimizers are stepped at the `lr` of this one's groups.
    """

    def __init__(self, parameters: list[nn.Parameter], *, lr: float, weight_decay: float) -> None:
        # A depthwise kernel is no matrix: each row belongs to a channel of its own.
        kernels = [p for p in parameters if p.ndim == 4 and p.shape[1] > 1]
        rest = [p for p in parameters if p.ndim != 4 or p.shape[1] == 1]
        groups = [
            {"params": kernels, "rate_factor": 1.0},
            {"params": rest, "rate_factor": MUON_REST_FACTOR},
        ]
        super().__init__([g for g in groups if g["params"]], {"lr": lr})
        self._matrices = [(p, nn.Parameter(_as_matrix(p.data))) for p in kernels]
        if any(kernel.data_ptr() != matrix.data_ptr() for kernel, matrix in self._matrices):
            raise ValueError("Muon needs the model in channels_last memory format")
        self._inner: list[Optimizer] = []
        if kernels:
            matrices = [matrix for _, matrix in self._matrices]
            self._inner.append(Muon(matrices, lr=lr, weight_decay=weight_decay, momentum=0.95))
        if rest:
            sgd = SGD(rest, lr=lr, weight_decay=weight_decay, momentum=MOMENTUM, nesterov=True)
            self._inner.append(sgd)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; parameters without a gradient stay."""
        for kernel, matrix in self._matrices:
            matrix.grad = None if kernel.grad is None else _as_matrix(kernel.grad)
        for outer, inner in zip(self.param_groups, self._inner, strict=True):
            for group in inner.param_groups:
                group["lr"] = outer["lr"] * outer["rate_factor"]
            inner.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimizers' states."""
        return {"inner": [inner.state_dict() for inner in self._inner]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for inner, state in zip(self._inner, state_dict["inner"], strict=True):
            inner.load_state_dict(state)


def default_lr(name: str, *, pretrained: bool) -> float:
    """Return the peak rate to use when lr_find has no answer."""
    return DEFAULT_LR[name] * (PRETRAINED_FACTOR if pretrained else 1)


def build_optimizer(name: str, model: nn.Module, *, lr: float, weight_decay: float) -> Optimizer:
    """Return an optimizer over the model's trainable parameters."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if name == "muon":
        return MuonWithSgd(parameters, lr=lr, weight_decay=weight_decay)
    if name == "adamw":
        return AdamW(parameters, lr=lr, weight_decay=weight_decay)
    return SGD(parameters, lr=lr, weight_decay=weight_decay, momentum=MOMENTUM, nesterov=True)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def _as_matrix(kernel: Tensor) -> Tensor:
    """View a channels-last kernel (C_out, C_in, H, W) as (C_out, H W C_in) without copying."""
    return kernel.permute(0, 2, 3, 1).reshape(len(kernel), -1)
