"""Looking into a network without leaving a trace in it, and finding its maps."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.modeling.zoo import Classifier

POOLS = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """Where in a network a map is made."""

    module: nn.Module
    shape: tuple[int, int, int]
    """(C, h, w)."""


@contextmanager
def inspecting(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, with gradients possible; every mode is restored after."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def maps_of(model: Classifier, *, image_px: tuple[int, int]) -> list[Map]:
    """Return the maps (N, C, h, w) that a network makes, in the order in which they are made.

    Images are square, and so are their maps: an output (N, h, w, C), as Swin and the blocks of
    ConvNeXt make them, is told by that and passed over. Poolings are passed over, since a pooled
    map is coarser (VGG ends in one). A module that runs more than once in a pass cannot be told
    apart from itself and is passed over too.

    Args:
        model: in evaluation mode.
        image_px: height and width of the images to look at, which are equal.

    Raises:
        ValueError: nothing in the network makes a map.
    """
    made: list[tuple[nn.Module, Tensor]] = []
    pooled: list[Tensor] = []

    def note(module: nn.Module, _inputs: object, output: object) -> None:
        if not isinstance(output, Tensor) or not _is_map(output):
            return
        if isinstance(module, POOLS):
            pooled.append(output)
        made.append((module, output))

    hooks = [module.register_forward_hook(note) for module in model.network.modules()]
    try:
        with torch.no_grad():
            model(torch.zeros(1, *image_px, 3, dtype=torch.uint8, device=model.mean.device))
    finally:
        for hook in hooks:
            hook.remove()
    runs = Counter(module for module, _ in made)
    found = [
        Map(module=module, shape=(output.shape[1], output.shape[2], output.shape[3]))
        for module, output in made
        # A container that ends in a pooling hands the pooling's output on, the same object.
        if runs[module] == 1 and not any(output is other for other in pooled)
    ]
    if not found:
        raise ValueError("the network makes no map (N, C, h, w) to look at")
    return found


def _is_map(output: Tensor) -> bool:
    return output.dim() == 4 and output.shape[2] == output.shape[3]


def last_map(maps: list[Map], *, side: int) -> Map | None:
    """Return the last of the maps of at least `side` places a side; None if there is none."""
    return next((m for m in reversed(maps) if min(m.shape[1:]) >= side), None)
