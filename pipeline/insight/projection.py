"""Which pixels made a unit answer: guided backpropagation and receptive fields.

Guided backpropagation (Springenberg et al. 2015, section 3.4) is the gradient of one unit, of which
every activation lets through only what is positive on the way back as on the way forth. captum's
version hooks modules `nn.ReLU` alone; here the functions are caught, so that functional and
in-place ReLUs count too (`compact`, DenseNet). Smooth activations (SiLU, GELU, hard-swish) keep
their own slope and let only positive gradients through, which goes beyond the paper.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pipeline.imaging.preprocess import Pixels
from pipeline.modeling.zoo import Classifier

ACTIVATIONS: set[Callable[..., Any]] = {
    *(F.relu, F.relu6, F.hardtanh, F.leaky_relu, F.elu, F.silu, F.gelu, F.hardswish),
    *(torch.relu, Tensor.relu),
}
Box = tuple[int, int, int, int]
"""Top, left, bottom, right."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One value of a map."""

    channel: int
    row: int
    column: int


class _Guided(TorchFunctionMode):
    """Activations whose gradients are cut off at 0 before they go through."""

    def __torch_function__(  # type: ignore[no-untyped-def]
        self, func, types, args=(), kwargs=None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func not in ACTIVATIONS:
            return func(*args, **kwargs)
        output = func(*args, **kwargs | ({"inplace": False} if "inplace" in kwargs else {}))
        if output.requires_grad:
            output.register_hook(lambda gradient: gradient.clamp_min(0))
        return output


class _Linear(TorchFunctionMode):
    """No activations and mean instead of maximum, so that every pixel that can matter does."""

    def __torch_function__(  # type: ignore[no-untyped-def]
        self, func, types, args=(), kwargs=None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in ACTIVATIONS:
            return args[0] * 1.0
        if func is torch.max_pool2d:
            kept = {k: v for k, v in kwargs.items() if k in ("stride", "padding", "ceil_mode")}
            return F.avg_pool2d(args[0], args[1], *args[2:4], **kept)
        return func(*args, **kwargs)


def guided_gradients(
    model: Classifier, layer: nn.Module, pixels: Pixels, units: Sequence[Unit]
) -> NDArray[np.float32]:
    """Return (N, H, W, 3): how each value of the n-th image drives the n-th unit of a layer.

    Args:
        model: in evaluation mode, gradients possible (`inspection.inspecting`).
        layer: whose output is a map (N, C, h, w).
        pixels: (N, H, W, 3) uint8.
        units: one per image.
    """
    with _Guided():
        return _gradients(model, layer, pixels, units)


def receptive_fields(
    model: Classifier, layer: nn.Module, units: Sequence[Unit], *, image_px: tuple[int, int]
) -> list[Box]:
    """Return the pixels that can have an influence on each unit, clipped at the image's border.

    Found by the support of the gradient of the network without its activations.
    """
    blank = np.zeros((len(units), *image_px, 3), np.uint8)
    with _Linear():
        support = np.abs(_gradients(model, layer, blank, units)).sum(axis=3) > 0
    boxes = []
    for mask in support:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows) == 0:
            boxes.append((0, 0, *image_px))
        else:
            boxes.append((int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1))
    return boxes


def _gradients(
    model: Classifier, layer: nn.Module, pixels: Pixels, units: Sequence[Unit]
) -> NDArray[np.float32]:
    caught: list[Tensor] = []
    # The product is a tensor of its own: what comes next may work in place.
    hook = layer.register_forward_hook(lambda _m, _i, output: caught.append(output * 1.0))
    try:
        images = model.normalize(torch.tensor(pixels, device=model.mean.device)).requires_grad_()
        model.network(images)
    finally:
        hook.remove()
    channels, rows, columns = (
        torch.tensor([getattr(u, name) for u in units]) for name in ("channel", "row", "column")
    )
    answers = caught[0][torch.arange(len(units)), channels, rows, columns]
    (gradient,) = torch.autograd.grad(answers.sum(), images)
    found: NDArray[np.float32] = gradient.permute(0, 2, 3, 1).float().cpu().numpy()
    return found
