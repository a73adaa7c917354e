"""Optimizers by name; every parameter group follows one rate, times a factor of its own."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Muon, Optimizer

from pipeline.modeling.gram_muon import GramMuon

DEFAULT_LR = {
    "compact": {"muon": 0.06, "sgd": 0.05, "adamw": 4e-3},
    "vgg": {"muon": 2.5e-3, "sgd": 2.5e-3, "adamw": 1e-3},
    "others": {"muon": 0.01, "sgd": 0.01, "adamw": 1e-3},
}
"""Peak rates with a batch of 64, used when lr_find has no answer. `compact`: near the best of the
grids in docs/learning-rate.md. `others`, torchvision's: what lr_find says of resnet18, in one
digit. VGGs, without residuals, bear less: 0.01 with batches of 256 (Simonyan & Zisserman 2014,
section 3.1), a quarter of it with 64 (Goyal et al. 2017, the linear rule); lr_find says 0.0014 to
0.002."""
PRETRAINED_FACTOR = 0.1  # pretrained weights are near a good place already
MUON_REST_FACTOR = 1 / 3
"""Biases, batch norm and head follow SGD at this share of Muon's rate."""
MOMENTUM = 0.9
MUON_MAX_ROWS = 256
"""Wider kernels are orthogonalised in blocks of so many rows, which takes a third of the time."""


class MuonWithSgd(Optimizer):
    """Muon on convolution kernels, SGD on everything else.

    Muon (Jordan et al. 2024) orthogonalises the momentum of matrices: torch's in bf16, `GramMuon`
    in fp32. Both take 2-D parameters only. A kernel (C_out, C_in, H, W) is presented as the matrix
    (C_out, H W C_in) that shares its memory, a wide one as several of `MUON_MAX_ROWS` rows, as
    where a kernel is divided among devices (Khaled et al. 2025, arXiv:2510.16981: BlockMuon). Each
    group of this one has an inner optimizer that is stepped at the group's `lr`.
    """

    def __init__(
        self, parameters: Iterable[Any], *, lr: float, weight_decay: float, bf16: bool
    ) -> None:
        """Take parameters, or groups of them as torch's optimizers do."""
        muon = Muon if bf16 else GramMuon
        items = list(parameters)
        groups = [item if isinstance(item, dict) else {"params": [item]} for item in items]
        if not any(isinstance(item, dict) for item in items):
            groups = [{"params": items}]
        super().__init__([part for group in groups for part in _divided(group)], {"lr": lr})
        self._blocks: list[tuple[nn.Parameter, list[nn.Parameter]]] = []
        self._inner: list[Optimizer] = []
        for group in self.param_groups:
            if group["rate_factor"] == 1:
                blocks = [[nn.Parameter(b) for b in _blocks(p.data)] for p in group["params"]]
                self._blocks += zip(group["params"], blocks, strict=True)
                matrices = [block for kernel in blocks for block in kernel]
                self._inner.append(muon(matrices, lr=lr, weight_decay=weight_decay, momentum=0.95))
            else:
                self._inner.append(_sgd(group["params"], lr=lr, weight_decay=weight_decay))
        if any(kernel.data_ptr() != blocks[0].data_ptr() for kernel, blocks in self._blocks):
            raise ValueError("Muon needs the model in channels_last memory format")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; parameters without a gradient stay."""
        for kernel, blocks in self._blocks:
            grads = [None] * len(blocks) if kernel.grad is None else _blocks(kernel.grad)
            for block, grad in zip(blocks, grads, strict=True):
                block.grad = grad
        for outer, inner in zip(self.param_groups, self._inner, strict=True):
            for group in inner.param_groups:
                group["lr"] = outer["lr"] * outer["rate_factor"]
            inner.step()
        for _, blocks in self._blocks:
            for block in blocks:
                block.grad = None  # a view, which would keep the kernel's gradient in memory

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimizers' states."""
        return {"inner": [inner.state_dict() for inner in self._inner]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for inner, state in zip(self._inner, state_dict["inner"], strict=True):
            inner.load_state_dict(state)


def default_lr(name: str, *, arch: str, pretrained: bool) -> float:
    """Return the peak rate to use when lr_find has no answer."""
    family = "vgg" if arch.startswith("vgg") else arch if arch in DEFAULT_LR else "others"
    return DEFAULT_LR[family][name] * (PRETRAINED_FACTOR if pretrained else 1)


def build_optimizer(
    name: str,
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    bf16: bool,
    groups: Sequence[Sequence[nn.Parameter]] | None = None,
    lr_factors: Sequence[float] = (1.0,),
) -> Optimizer:
    """Return an optimizer over the model's trainable parameters.

    Args:
        name: `muon`, `sgd` or `adamw`.
        model: the network.
        lr: the rate of a group whose factor is 1.
        weight_decay: of all parameters.
        bf16: whether Muon multiplies in bf16; else in fp32.
        groups: parameters that share a factor; None is one group of all.
        lr_factors: one for each group (discriminative rates: Howard & Ruder 2018, section 3.2).
    """
    trained = [
        {"params": [p for p in group if p.requires_grad], "lr": lr * factor, "lr_factor": factor}
        for group, factor in zip(groups or [list(model.parameters())], lr_factors, strict=True)
    ]
    filled = [group for group in trained if group["params"]]
    if name == "muon":
        return MuonWithSgd(filled, lr=lr, weight_decay=weight_decay, bf16=bf16)
    if name == "adamw":
        return AdamW(filled, lr=lr, weight_decay=weight_decay)
    return _sgd(filled, lr=lr, weight_decay=weight_decay)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the rate of every parameter group to `lr` times the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_factor", 1.0)


def _sgd(parameters: Any, *, lr: float, weight_decay: float) -> Optimizer:
    return SGD(parameters, lr=lr, weight_decay=weight_decay, momentum=MOMENTUM, nesterov=True)


def _divided(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Divide a group into kernels, for Muon, and the rest, for SGD."""
    # A depthwise kernel is no matrix: each row belongs to a channel of its own.
    kernels = [p for p in group["params"] if p.ndim == 4 and p.shape[1] > 1]
    rest = [p for p in group["params"] if p.ndim != 4 or p.shape[1] == 1]
    parts = ((kernels, 1.0), (rest, MUON_REST_FACTOR))
    return [{**group, "params": ps, "rate_factor": factor} for ps, factor in parts if ps]


def _blocks(kernel: Tensor) -> Sequence[Tensor]:
    """View a channels-last kernel (C_out, C_in, H, W) as matrices (rows, H W C_in)."""
    return torch.split(kernel.permute(0, 2, 3, 1).reshape(len(kernel), -1), MUON_MAX_ROWS)
