"""Pictures of what the first layers of a network look for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.analysis.thumbnails import png_data

Floats = NDArray[np.floating[Any]]

MAX_KERNELS = 64
MAX_NEXT_KERNELS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPanel:
    """The kernels of one layer, as PNG images in base64, and what they are."""

    title: str
    text: str
    tiles: tuple[str, ...]


def kernel_panels(weights: Mapping[str, Floats]) -> tuple[KernelPanel, ...]:
    """Return the kernels of the first convolution on RGB, and of the one after it.

    Args:
        weights: parameters by name, in the order of the layers; a kernel is (C_out, C_in, H, W).
    """
    kernels = {k: w for k, w in weights.items() if w.ndim == 4 and k.endswith(".weight")}
    names = list(kernels)
    first = next((i for i, name in enumerate(names) if kernels[name].shape[1] == 3), None)
    if first is None:
        return ()
    panels = [_first_panel(names[first], kernels[names[first]])]
    rest = (name for name in names[first + 1 :] if min(kernels[name].shape[2:]) > 1)
    if (name := next(rest, None)) is not None:
        panels.append(_next_panel(name, kernels[name]))
    return tuple(panels)


def rgb_tiles(kernels: Floats) -> list[NDArray[np.uint8]]:
    """Return (H, W, 3) pictures of (C_out, 3, H, W) kernels: grey is zero, each scaled alone."""
    return [_signed(kernel.transpose(1, 2, 0)) for kernel in kernels]


def strongest_tiles(kernels: Floats) -> list[NDArray[np.uint8]]:
    """Return (H, W) grey pictures of each output channel's input channel of largest norm."""
    norms = (kernels.astype(np.float64) ** 2).sum(axis=(2, 3))
    return [_signed(kernels[i, best]) for i, best in enumerate(norms.argmax(axis=1))]


def _first_panel(name: str, kernels: Floats) -> KernelPanel:
    count, _, height, width = kernels.shape
    shown = min(count, MAX_KERNELS)
    if "whiten" in name:
        text = (
            f"{count} kernels of {height} × {width} pixels, computed from the training pictures "
            "before the first step and then frozen: colours and edges of which each is new "
            "information, the second half being the first with its sign turned."
        )
    else:
        text = (
            f"{_shown(shown, count)} kernels of {height} × {width} pixels that the network lays "
            "over the picture: edges, blobs and colours; a kernel answers where the picture "
            "looks like it."
        )
    return KernelPanel(title="First layer", text=text, tiles=_encoded(rgb_tiles(kernels[:shown])))


def _next_panel(name: str, kernels: Floats) -> KernelPanel:
    count, _, height, width = kernels.shape
    shown = min(count, MAX_NEXT_KERNELS)
    text = (
        f"{_shown(shown, count)} learned kernels of {height} × {width} values, each drawn for the "
        "one input channel that it listens to most: light is positive, dark negative."
    )
    return KernelPanel(
        title="Next layer", text=text, tiles=_encoded(strongest_tiles(kernels[:shown]))
    )


def _shown(shown: int, count: int) -> str:
    return f"The {count}" if shown == count else f"The first {shown} of {count}"


def _signed(kernel: Floats) -> NDArray[np.uint8]:
    """Return a picture in which 0 is middle grey and the largest magnitude black or white."""
    largest = float(np.abs(kernel).max()) or 1.0
    return (127.5 + 127.5 * kernel.astype(np.float64) / largest).round().astype(np.uint8)


def _encoded(tiles: list[NDArray[np.uint8]]) -> tuple[str, ...]:
    return tuple(png_data(Image.fromarray(tile)) for tile in tiles)
