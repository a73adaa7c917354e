"""Pictures of the kernels of the first two convolutions, before and after training."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from pipeline.core.errors import ParamsError
from pipeline.imaging.spec import ModelSpec
from pipeline.insight.pictures import Bytes, Floats, Picture, mosaic, picture, signed
from pipeline.modeling.zoo import Classifier, initial_model
from pipeline.packing.packed import PackedSplit

MAX_KERNELS = 64
COLUMNS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPanel:
    """The kernels of one layer."""

    title: str
    text: str
    before: Picture | None
    """At the start of the training, if that is known and was another."""
    after: Picture


def starting_model(
    spec: ModelSpec, train: PackedSplit, *, weights: str, seed: int
) -> Classifier | None:
    """Return the network as it was before the first step of its training.

    It is made again as the stage train makes it: from the seed, or from the pretrained weights,
    and what `compact` takes from the training images taken from them again. None if the pretrained
    weights cannot be had any more.
    """
    try:
        model = initial_model(
            spec.arch,
            n_classes=len(spec.classes),
            weights=weights,
            seed=seed,
            train=train,
            preprocess=spec.preprocess,
        )
    except ParamsError:
        return None
    return model.eval()


def first_convolution(model: Classifier) -> nn.Conv2d | None:
    """Return the convolution on the three colours, if the network has one."""
    return next(iter(_convolutions(model).values()), None)


def kernel_panels(after: Classifier, before: Classifier | None) -> tuple[KernelPanel, ...]:
    """Return the kernels of the convolution on RGB, and of the next one wider than a pixel."""
    trained = _convolutions(after)
    names = list(trained)
    if not names:
        return ()
    wide = [name for name in names[1:] if min(trained[name].kernel_size) > 1]
    started = {} if before is None else _convolutions(before)
    first = _panel(
        "First layer: what it compares the picture with",
        _first_text(trained[names[0]]),
        rgb_tiles(_weights(trained[names[0]])),
        rgb_tiles(_weights(started[names[0]])) if started else None,
    )
    if not wide:
        return (first,)
    weights = _weights(trained[wide[0]])
    channels = strongest_channels(weights)
    text = (
        f"Kernels of {_size(trained[wide[0]])} values that look at the answers of the first layer; "
        "each is drawn for the one input that it listens to most: light is positive, dark negative."
    )
    old = channel_tiles(_weights(started[wide[0]]), channels) if started else None
    return first, _panel("Next layer", text, channel_tiles(weights, channels), old)


def rgb_tiles(kernels: Floats) -> list[Bytes]:
    """Return (H, W, 3) pictures of (C_out, 3, H, W) kernels: grey is zero, each scaled alone."""
    return [signed(kernel.transpose(1, 2, 0)) for kernel in kernels[:MAX_KERNELS]]


def strongest_channels(kernels: Floats) -> list[int]:
    """Return for each output channel of (C_out, C_in, H, W) the input channel of largest norm."""
    found: list[int] = (kernels.astype(np.float64) ** 2).sum(axis=(2, 3)).argmax(axis=1).tolist()
    return found


def channel_tiles(kernels: Floats, channels: list[int]) -> list[Bytes]:
    """Return (H, W) grey pictures of each kernel's given input channel, each scaled alone."""
    pairs = list(zip(kernels, channels, strict=True))[:MAX_KERNELS]
    return [signed(kernel[channel]) for kernel, channel in pairs]


def _convolutions(model: Classifier) -> dict[str, nn.Conv2d]:
    """Return the convolutions from the one on RGB on, by name."""
    found = {n: m for n, m in model.network.named_modules() if isinstance(m, nn.Conv2d)}
    names = list(found)
    start = next((k for k, name in enumerate(names) if found[name].weight.shape[1] == 3), None)
    return {} if start is None else {name: found[name] for name in names[start:]}


def _weights(convolution: nn.Conv2d) -> Floats:
    found: Floats = convolution.weight.detach().float().cpu().numpy()
    return found


def _size(convolution: nn.Conv2d) -> str:
    height, width = convolution.weight.shape[2:]
    return f"{height} × {width}"


def _first_text(convolution: nn.Conv2d) -> str:
    if not convolution.weight.requires_grad:
        return (
            f"Kernels of {_size(convolution)} pixels. This network computes them from the training "
            "pictures before the first step and then keeps them, so there is no before and after: "
            "colours and edges of which each is new information, the second half being the first "
            "with its sign turned."
        )
    return (
        f"Kernels of {_size(convolution)} pixels that are laid over every place of the picture: "
        "where the picture looks like the kernel, the answer is large. Training turns them into "
        "detectors of edges, blobs and colours."
    )


def _panel(title: str, text: str, after: list[Bytes], before: list[Bytes] | None) -> KernelPanel:
    same = before is not None and all(
        np.array_equal(a, b) for a, b in zip(after, before, strict=True)
    )
    return KernelPanel(
        title=title,
        text=text,
        before=None if before is None or same else _sheet(before, f"{title}, before training"),
        after=_sheet(after, title if before is None or same else f"{title}, after training"),
    )


def _sheet(tiles: list[Bytes], alt: str) -> Picture:
    return picture(mosaic(tiles, columns=COLUMNS), alt=f"{alt}: {len(tiles)} kernels")
