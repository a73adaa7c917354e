"""What channels answer to: the nine patches of real images with the largest answers.

After Zeiler and Fergus 2014, section 4, figure 2: for a channel, the nine images in which it
answered most strongly, cut to what the answering place can see, beside a projection of that answer
back to the pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.imaging.preprocess import Pixels
from pipeline.insight.inspection import Map, inspecting, maps_of
from pipeline.insight.pictures import Bytes, Picture, mosaic, picture, shrunk
from pipeline.insight.projection import Box, Unit, guided_gradients, receptive_fields
from pipeline.modeling.zoo import Classifier

TOP = 9
COLUMNS = 3
TILE_PX = 64
LEAVES = (nn.Conv2d, nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.Dropout, nn.Identity)
"""What stands in the middle of a stage: its answers are not rectified yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel of a stage."""

    number: int
    patches: Picture
    projections: Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The channels of one map of a network."""

    name: str
    shape: tuple[int, int, int]
    """(C, h, w)."""
    field_px: tuple[int, int]
    """Height and width of what one place can see, cut off at the image's border."""
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class Peaks:
    """The largest answer of each channel in each image."""

    values: NDArray[np.float32]
    """(N, C)."""
    places: NDArray[np.int64]
    """(N, C), row * w + column."""


def stages(model: Classifier, pixels: Pixels, *, channels_per_stage: int) -> tuple[Stage, ...]:
    """Return for chosen channels of every stage what they answer to.

    A stage is all that works at one resolution; its map is the last one there. The channels are
    those whose best nine answers stand out most from their answers to other images.

    Args:
        model: any classifier; it is left as it was.
        pixels: (N, H, W, 3) uint8, real images, at least one.
        channels_per_stage: how many channels to show.
    """
    with inspecting(model):
        maps = stage_maps(model, image_px=pixels.shape[1:3])
        peaks = _peaks(model, [m.module for m in maps], pixels)
        names = {module: name for name, module in model.network.named_modules()}
        return tuple(
            _stage(model, m, found, pixels, name=names[m.module], n=channels_per_stage)
            for m, found in zip(maps, peaks, strict=True)
        )


def stage_maps(model: Classifier, *, image_px: tuple[int, int]) -> list[Map]:
    """Return the last map of each resolution, from the finest to the coarsest."""
    found: dict[tuple[int, ...], Map] = {}
    for m in maps_of(model, image_px=image_px):
        if m.shape[1:] != (1, 1) and not isinstance(m.module, LEAVES):
            found.pop(m.shape[1:], None)
            found[m.shape[1:]] = m
    return list(found.values())


def selective_channels(values: NDArray[np.float32], *, n: int) -> list[int]:
    """Return the channels of (N, C) peaks whose best nine stand out most, in standard deviations.

    Channels that never answer are left out.
    """
    best = np.sort(values, axis=0)[-TOP:].mean(axis=0)
    spread = values.std(axis=0)
    alive = (spread > 0) & (best > 0)
    score = np.where(alive, (best - values.mean(axis=0)) / np.where(alive, spread, 1), -np.inf)
    order = np.argsort(-score, kind="stable")
    return [int(c) for c in order[:n] if alive[c]]


@torch.no_grad()
def _peaks(
    model: Classifier, layers: Sequence[nn.Module], pixels: Pixels, *, batch_size: int = 64
) -> list[Peaks]:
    values: list[list[Tensor]] = [[] for _ in layers]
    places: list[list[Tensor]] = [[] for _ in layers]

    def note(index: int) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            peak = output.flatten(2).max(dim=2)
            values[index].append(peak.values.float().cpu())
            places[index].append(peak.indices.cpu())

        return hook

    hooks = [layer.register_forward_hook(note(k)) for k, layer in enumerate(layers)]
    try:
        for start in range(0, len(pixels), batch_size):
            batch = pixels[start : start + batch_size]
            model(torch.tensor(batch, device=model.mean.device))
    finally:
        for hook in hooks:
            hook.remove()
    return [
        Peaks(torch.cat(v).numpy(), torch.cat(p).numpy())
        for v, p in zip(values, places, strict=True)
    ]


def _stage(model: Classifier, m: Map, peaks: Peaks, pixels: Pixels, *, name: str, n: int) -> Stage:
    chosen = selective_channels(peaks.values, n=n)
    top = min(TOP, len(pixels))
    rows = [np.argsort(-peaks.values[:, c], kind="stable")[:top] for c in chosen]
    middle = Unit(0, m.shape[1] // 2, m.shape[2] // 2)
    image_px = (pixels.shape[1], pixels.shape[2])
    box = receptive_fields(model, m.module, [middle], image_px=image_px)[0]
    return Stage(
        name=name,
        shape=m.shape,
        field_px=(box[2] - box[0], box[3] - box[1]),
        channels=tuple(
            _channel(model, m, pixels[r], c, peaks.places[r, c])
            for c, r in zip(chosen, rows, strict=True)
        ),
    )


def _channel(
    model: Classifier, m: Map, images: Pixels, number: int, places: NDArray[np.int64]
) -> Channel:
    units = [Unit(number, *divmod(int(place), m.shape[2])) for place in places]
    image_px = (images.shape[1], images.shape[2])
    boxes = receptive_fields(model, m.module, units, image_px=image_px)
    gradients = guided_gradients(model, m.module, images, units)
    tiles = [_cut(image, box, boxes) for image, box in zip(images, boxes, strict=True)]
    drawn = [
        _cut(_drawn(gradient), box, boxes) for gradient, box in zip(gradients, boxes, strict=True)
    ]
    return Channel(
        number=number,
        patches=_sheet(tiles, f"Channel {number}: the {len(tiles)} patches it answers to most"),
        projections=_sheet(drawn, f"Channel {number}: what in these patches made it answer"),
    )


def _drawn(gradient: NDArray[np.float32]) -> Bytes:
    """Return a projection (H, W, 3) as a picture: grey is 0, one in 200 values may be cut off."""
    largest = float(np.quantile(np.abs(gradient[gradient != 0]), 0.995)) if gradient.any() else 1.0
    grey = 127.5 + 127.5 * (gradient / largest).clip(-1, 1)
    found: Bytes = grey.round().astype(np.uint8)
    return found


def _cut(image: Bytes, box: Box, boxes: Sequence[Box]) -> Bytes:
    """Return the box of an image in a tile as large as the largest box, the rest grey."""
    height = max(b[2] - b[0] for b in boxes)
    width = max(b[3] - b[1] for b in boxes)
    tile = np.full((height, width, 3), 128, np.uint8)
    top = height - (box[2] - box[0]) if box[0] == 0 else 0  # what is missing lies beyond that edge
    left = width - (box[3] - box[1]) if box[1] == 0 else 0
    tile[top : top + box[2] - box[0], left : left + box[3] - box[1]] = image[
        box[0] : box[2], box[1] : box[3]
    ]
    return shrunk(tile, side_px=TILE_PX)


def _sheet(tiles: Sequence[Bytes], alt: str) -> Picture:
    return picture(mosaic(tiles, columns=COLUMNS), alt=alt, palette=True)
