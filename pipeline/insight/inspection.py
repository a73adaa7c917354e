"""Looking into a network without leaving a trace in it, and finding its maps."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pipeline.modeling.zoo import Classifier

POOLS = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)


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


def last_map(model: Classifier, *, image_px: tuple[int, int]) -> tuple[nn.Module, tuple[int, int]]:
    """Return the module that makes the last map, which is averaged or flattened, and (h, w) of it.

    Poolings are passed over, since a pooled map is coarser (VGG ends in one). A module that runs
    more than once in a pass cannot be told apart from itself and is passed over too.

    Args:
        model: in evaluation mode.
        image_px: height and width of the images to look at.

    Raises:
        ValueError: nothing in the network makes a map (N, C, h, w).
    """
    made: list[tuple[nn.Module, Tensor]] = []
    pooled: list[Tensor] = []

    def note(module: nn.Module, _inputs: object, output: object) -> None:
        if not isinstance(output, Tensor) or output.dim() != 4:
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
    maps = [
        (module, output)
        for module, output in made
        # A container that ends in a pooling hands the pooling's output on, the same object.
        if runs[module] == 1 and not any(output is other for other in pooled)
    ]
    if not maps:
        raise ValueError("the network makes no map (N, C, h, w) to look at")
    # In small images the last maps may be single places; then the last is as good as any.
    wide = [entry for entry in maps if entry[1].shape[2:] != (1, 1)]
    module, output = (wide or maps)[-1]
    return module, (output.shape[2], output.shape[3])
