"""Preprocessing and licence of weights, as their owners publish them.

Mean, standard deviation, interpolation and crop belong to weights, not to an architecture: what
ImageNet's statistics do to weights that were trained with others cost 19 points in one report.
torchvision and timm know them of their own weights, and are imported only where they are asked.
"""

import difflib
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.core.errors import ParamsError
from pipeline.imaging.spec import BICUBIC, BILINEAR, PreprocessSpec, spec_from_json
from pipeline.pretrained.lite import LITE_SIZES_PX

TIMM = "timm/"
"""What names of timm's networks begin with in `model.arch`."""
COMPACT_PX, USUAL_PX = 80, 224
TF_MEAN, TF_STD = (127 / 255,) * 3, (128 / 255,) * 3  # TensorFlow's (x - 127) / 128
LITE_CROP = 0.875
RESAMPLES = {"bilinear": BILINEAR, "bicubic": BICUBIC}
SWAG_LICENCE = "cc-by-nc-4.0"
"""Of torchvision's SWAG weights; the others state none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFacts:
    """What the owner of weights says of them."""

    preprocess: PreprocessSpec
    """How images are prepared where the owner evaluates them."""
    licence: str | None = None
    """None: not stated, or there are no weights."""


def weights_facts(arch: str, weights: str) -> WeightsFacts:
    """Return what is known of the weights that a network starts with.

    Args:
        arch: as `model.arch`.
        weights: `none`, `imagenet`, or the path of a file. A model.pt of this project brings its
            own facts, any other file those of the architecture's published weights.

    Raises:
        ParamsError: the architecture is unknown, or needs preprocessing that there is not.
    """
    if weights not in ("none", "imagenet") and (spec := _spec_of_model(Path(weights))):
        return WeightsFacts(preprocess=spec)
    if arch in LITE_SIZES_PX:
        return _lite(LITE_SIZES_PX[arch])
    if arch == "compact":
        return WeightsFacts(preprocess=PreprocessSpec(size_px=COMPACT_PX))
    if arch.startswith(TIMM):
        return _timm(arch.removeprefix(TIMM))
    return _torchvision(arch) if weights != "none" else _untrained(arch)


def weights_licence(arch: str, weights: str) -> str | None:
    """Return the licence of published weights; None where none is stated or none were taken."""
    return weights_facts(arch, weights).licence if weights == "imagenet" else None


def chosen_preprocess(
    facts: WeightsFacts, *, size_px: int | None, fit: str | None, resample: str | None
) -> PreprocessSpec:
    """Return the preprocessing of the weights, but for what somebody chose; None chooses nothing.

    With another side the owner's margin is kept: what is cut off is the same share of the image.
    """
    own = facts.preprocess
    size = size_px or own.size_px
    margin = None if own.resize_px is None else own.resize_px / own.size_px
    return replace(
        own,
        size_px=size,
        fit=fit or own.fit,
        resize_px=None if fit or margin is None else math.floor(size * margin),
        resample=RESAMPLES[resample] if resample else own.resample,
    )


def is_non_commercial(licence: str | None) -> bool:
    """Tell whether a licence, named as SPDX does, forbids commercial use."""
    return licence is not None and "nc" in licence.lower().split("-")


def unknown_arch(arch: str, names: Iterable[str]) -> ParamsError:
    """Return the error for an architecture that nobody knows, with the likely meaning."""
    near = difflib.get_close_matches(arch, list(names), n=3, cutoff=0.6)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return ParamsError(
        f"model.arch: found {arch!r}, allowed: compact, efficientnet_lite0 to 2, a classifier of "
        f"torchvision, or timm/ and a name of timm's{meant}"
    )


def _lite(size_px: int) -> WeightsFacts:
    spec = PreprocessSpec(
        size_px=size_px,
        fit="resize_crop",
        resample=BICUBIC,
        resize_px=math.floor(size_px / LITE_CROP),
        mean=TF_MEAN,
        std=TF_STD,
    )
    return WeightsFacts(preprocess=spec, licence="apache-2.0")


def _untrained(arch: str) -> WeightsFacts:
    from torchvision import models

    if arch not in (names := models.list_models(module=models)):
        raise unknown_arch(arch, names)
    return WeightsFacts(preprocess=PreprocessSpec(size_px=USUAL_PX))


def _torchvision(arch: str) -> WeightsFacts:
    from torchvision import models

    if arch not in (names := models.list_models(module=models)):
        raise unknown_arch(arch, names)
    weights: Any = models.get_model_weights(arch).DEFAULT
    transforms = weights.transforms()
    (size_px,), (resize_px,) = transforms.crop_size, transforms.resize_size
    spec = PreprocessSpec(
        size_px=size_px,
        fit="resize_crop",
        resample=RESAMPLES[transforms.interpolation.value],
        resize_px=resize_px,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
    )
    return WeightsFacts(
        preprocess=spec, licence=SWAG_LICENCE if "SWAG" in str(weights.name) else None
    )


def _timm(name: str) -> WeightsFacts:
    import timm

    base = name.partition(".")[0]
    if not timm.is_model(base):
        known = (f"{TIMM}{each}" for each in timm.list_models())
        raise unknown_arch(f"{TIMM}{name}", known)
    found = timm.get_pretrained_cfg(name)
    config: dict[str, Any] = timm.data.resolve_data_config(
        pretrained_cfg=found.to_dict() if found else {}
    )
    _, height, width = config["input_size"]
    if height != width or config["crop_mode"] not in ("center", "squash"):
        raise ParamsError(
            f"model.arch: timm/{name} wants {width} x {height} px, crop mode "
            f"{config['crop_mode']}, allowed: square images, center or squash"
        )
    spec = PreprocessSpec(
        size_px=height,
        fit="resize_crop" if config["crop_mode"] == "center" else "resize_squash",
        resample=RESAMPLES.get(config["interpolation"], BILINEAR),
        resize_px=math.floor(height / config["crop_pct"]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
    return WeightsFacts(preprocess=spec, licence=found.license if found else None)


def _spec_of_model(path: Path) -> PreprocessSpec | None:
    """Return the preprocessing inside a model.pt of this project; None for any other file."""
    if not path.is_file() or path.suffix == ".safetensors":
        return None
    import torch

    try:
        content = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
        return spec_from_json(content["spec"], where=str(path)).preprocess
    except Exception:  # of many types; the zoo says what is wrong with a file of weights
        return None
