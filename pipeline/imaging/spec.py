"""The facts that travel inside a model, so that nobody types them twice."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.core.errors import ArtifactError

BILINEAR, BICUBIC = "bilinear, antialiased", "bicubic, antialiased"
"""How pixels are interpolated; Pillow's filters widen with the scale."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB in [0, 1]; torchvision's weights were trained with it
IMAGENET_STD = (0.229, 0.224, 0.225)
ALL_UNSURE = 1.000001
"""A threshold that no prediction reaches: in float32 a probability may be 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessSpec:
    """How an RGB image becomes the network's input; geometry is applied by `imaging.preprocess`.

    What has a default here was added later: older models take it.
    """

    size_px: int
    """Side of the square input."""
    fit: str = "squash"
    """`squash`, `crop`, `pad`, `resize_crop` or `resize_squash`; see `imaging.preprocess`."""
    resample: str = BILINEAR
    """`BILINEAR` or `BICUBIC`."""
    resize_px: int | None = None
    """Short side before `resize_crop` cuts the middle out, both before `resize_squash` does; None
    with every other fit."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """RGB in [0, 1]; the network's first layer subtracts it."""
    std: tuple[float, float, float] = IMAGENET_STD
    """RGB in [0, 1]; the network's first layer divides by it."""


def preprocess_from(content: Mapping[str, Any]) -> PreprocessSpec:
    """Return the spec that `asdict` made a mapping of, also by way of JSON.

    Raises:
        TypeError: a name is unknown or missing.
        ValueError: mean or std are not three numbers.
    """
    found = dict(content)
    for name in ("mean", "std"):
        if name in found:
            red, green, blue = map(float, found[name])
            found[name] = (red, green, blue)
    return PreprocessSpec(**found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Everything about a trained network but its weights."""

    arch: str
    classes: tuple[str, ...]
    """Class names in the order of the outputs."""
    preprocess: PreprocessSpec
    temperature: float = 1.0
    """Divides the logits before the softmax (Guo et al. 2017, section 4.2); 1 leaves them alone."""
    threshold: float | None = None
    """Predictions less probable than this are unsure; None says nothing about it."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature is {self.temperature}, expected above 0")
        if self.threshold is not None and not 0 <= self.threshold <= ALL_UNSURE:
            raise ValueError(f"threshold is {self.threshold}, expected 0 to 1")

    def to_json(self) -> str:
        """Return the spec as JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)


def spec_from_json(text: str, *, where: str) -> ModelSpec:
    """Read a spec from the JSON inside a model file.

    Raises:
        ArtifactError: the text is not the spec of a model of this project.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        threshold = content.get("threshold")
        return ModelSpec(
            arch=str(content["arch"]),
            classes=tuple(map(str, content["classes"])),
            preprocess=preprocess_from(content["preprocess"]),
            # Models made before there were these two are taken as they are.
            temperature=float(content.get("temperature", 1.0)),
            threshold=None if threshold is None else float(threshold),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{where}: not a model of this pipeline ({error!r})") from error
