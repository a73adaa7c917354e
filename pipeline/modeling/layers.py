"""Which layers learn, and how fast: groups from the stem to the head, freezing, batch norm."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.core.errors import ParamsError
from pipeline.modeling.zoo import Classifier, head_parameters

Parameters = list[nn.Parameter]


def layer_groups(model: Classifier, n_groups: int) -> list[Parameters]:
    """Divide the parameters into groups of neighbouring layers, the head being the last.

    The body's blocks are shared out evenly, the earlier groups taking the rest: three groups of a
    ResNet are stem to layer2, layer3 and layer4, head, as in fast.ai's lesson 1. The blocks are
    stem and stages of a ResNet, the convolutions between two poolings and the hidden linear layers
    of a VGG, and single layers of anything else.

    Raises:
        ParamsError: the network has fewer blocks than asked for.
    """
    if n_groups == 1:
        return [list(model.parameters())]
    head = head_parameters(model)
    blocks = body_blocks(model)
    if n_groups - 1 > len(blocks):
        raise ParamsError(
            f"train.lr_factors: found {n_groups} factors, "
            f"allowed: at most {len(blocks) + 1} for this network"
        )
    groups: list[Parameters] = [[] for _ in range(n_groups - 1)]
    for index, block in enumerate(blocks):
        groups[index * len(groups) // len(blocks)] += block
    return [*groups, head]


def body_blocks(model: Classifier) -> list[Parameters]:
    """Return the parameters of each block of layers before the head, from the stem on."""
    network = model.network
    head = {id(parameter) for parameter in head_parameters(model)}
    named = [(name, p) for name, p in network.named_parameters() if id(p) not in head]
    places = {name: _block_of(name, network) for name, _ in named}
    return [
        [parameter for _, parameter in block]
        for _, block in groupby(named, key=lambda item: places[item[0]])
    ]


def still_layers(model: Classifier, *, lr_factors: Sequence[float], head_alone: bool) -> Parameters:
    """Return what is not to be trained: all but the head, or the groups whose factor is 0.

    Raises:
        ParamsError: no factor is above 0, or the network has fewer blocks than factors.
    """
    if head_alone:
        head = {id(parameter) for parameter in head_parameters(model)}
        return [p for p in model.parameters() if id(p) not in head]
    if not any(lr_factors):
        raise ParamsError("train.lr_factors: found no factor above 0, allowed: at least one")
    groups = zip(layer_groups(model, len(lr_factors)), lr_factors, strict=True)
    return [parameter for group, factor in groups if factor == 0 for parameter in group]


@contextmanager
def frozen(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Keep parameters as they are inside the block."""
    stopped = [p for p in parameters if p.requires_grad]
    for parameter in stopped:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in stopped:
            parameter.requires_grad_(True)


def train_mode(model: nn.Module) -> None:
    """Switch to training; batch norm whose parameters are frozen keeps its statistics.

    Otherwise a frozen body would drift away from what its weights were trained with.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm) and _is_frozen(list(module.parameters())):
            module.eval()


def _is_frozen(parameters: Sequence[nn.Parameter]) -> bool:
    return bool(parameters) and not any(p.requires_grad for p in parameters)


def _block_of(name: str, network: nn.Module) -> str:
    """Return the block that a parameter belongs to."""
    parts = name.split(".")
    if hasattr(network, "layer4"):  # ResNet, ResNeXt, Wide ResNet
        return parts[0] if parts[0].startswith("layer") else "stem"
    features = getattr(network, "features", None)
    if parts[0] == "features" and type(network).__name__ == "VGG" and features is not None:
        before = list(features)[: int(parts[1])]
        return f"features {sum(isinstance(layer, nn.MaxPool2d) for layer in before)}"
    if parts[0] == "whiten":  # fixed; it belongs to what follows it
        return "stages.0"
    if parts[0] in ("stages", "blocks"):
        return ".".join(parts[:2])
    return ".".join(parts[:-1])
