"""The facts that travel inside a model, so that nobody types them twice."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.core.errors import ArtifactError

RESAMPLE = "bilinear, antialiased"


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
        return ModelSpec(
            arch=str(content["arch"]),
            classes=tuple(map(str, content["classes"])),
            preprocess=PreprocessSpec(**content["preprocess"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{where}: not a model of this pipeline ({error!r})") from error
