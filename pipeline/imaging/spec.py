"""The facts that travel inside a model, so that nobody types them twice."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.core.errors import ArtifactError

RESAMPLE = "bilinear, antialiased"
ALL_UNSURE = 1.000001
"""A threshold that no prediction reaches: in float32 a probability may be 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessSpec:
    """How an RGB image becomes the network's input; applied by `imaging.preprocess`."""

    size_px: int
    """Side of the square input."""
    fit: str = "squash"
    """`squash`, `crop` or `pad`; models that name none were made before there was a choice."""
    resample: str = RESAMPLE


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
            preprocess=PreprocessSpec(**content["preprocess"]),
            # Models made before there were these two are taken as they are.
            temperature=float(content.get("temperature", 1.0)),
            threshold=None if threshold is None else float(threshold),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{where}: not a model of this pipeline ({error!r})") from error
