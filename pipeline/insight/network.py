"""All that the page says about the inside of a network."""

from dataclasses import dataclass

import numpy as np

from pipeline.insight.kernels import KernelPanel, kernel_panels
from pipeline.insight.patches import Stage, stages
from pipeline.insight.pictures import Picture, picture, shrunk
from pipeline.insight.steps import SIDE_PX, Steps, hand_made, learned
from pipeline.modeling.zoo import Classifier
from pipeline.packing.packed import PackedSplit

MAX_IMAGES = 400
"""In which the strongest answers are sought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """What a network sees."""

    source: Picture
    """The picture that the kernels are laid over."""
    hand_made: tuple[Steps, ...]
    learned: tuple[Steps, ...]
    kernels: tuple[KernelPanel, ...]
    stages: tuple[Stage, ...]
    n_images: int
    """In which the strongest answers were sought."""


def look_inside(
    model: Classifier, before: Classifier | None, split: PackedSplit, *, channels_per_stage: int
) -> NetworkView:
    """Return what the layers of a network do and answer to.

    Args:
        model: the trained network; it is left as it was.
        before: the same before its training, if that can be had.
        split: real images; up to `MAX_IMAGES` of them, evenly spread, are looked at.
        channels_per_stage: how many channels of every stage to show.
    """
    n_images = min(MAX_IMAGES, len(split))
    index = np.linspace(0, len(split) - 1, n_images).astype(np.int64)
    pixels = split.pixels[index]
    return NetworkView(
        source=picture(shrunk(pixels[0], side_px=SIDE_PX), alt="The picture itself"),
        hand_made=hand_made(pixels[0]),
        learned=learned(model, pixels[0]),
        kernels=kernel_panels(model, before),
        stages=stages(model, pixels, channels_per_stage=channels_per_stage),
        n_images=n_images,
    )
