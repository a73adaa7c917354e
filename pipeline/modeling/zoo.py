"""Networks by name: compact, EfficientNet-Lite, and the classifiers of torchvision and timm."""

import io
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.core.errors import ParamsError
from pipeline.imaging.spec import IMAGENET_MEAN, IMAGENET_STD, PreprocessSpec
from pipeline.modeling.compact import Compact
from pipeline.modeling.efficientnet_lite import EfficientNetLite
from pipeline.packing.packed import PackedSplit
from pipeline.pretrained.facts import TIMM, is_non_commercial, unknown_arch, weights_facts
from pipeline.pretrained.lite import LITE_SIZES_PX, lite_weights_path

log = logging.getLogger(__name__)
WHITENING_IMAGES = 512
WHITENING_SLICE = 32
"""Images at a time: all of them at 512 px would take 26 GB."""

IMAGENET_CLASSES = 1000
AUXILIARY_HEADS = ("aux1", "aux2", "AuxLogits")


class Classifier(nn.Module):
    """A network whose first layer casts and normalises, so that nobody types mean and std twice."""

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.network = network
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1))

    def normalize(self, pixels: Tensor) -> Tensor:
        """Return float images (N, 3, H, W) from uint8 pixels (N, H, W, 3)."""
        # Without contiguous() the exporter emulates the strides with a chain of Gather nodes.
        images = pixels.permute(0, 3, 1, 2)
        images = images.contiguous() if torch.compiler.is_exporting() else images
        return (images.float() - self.mean) / self.std

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (N, K) from uint8 pixels (N, H, W, 3)."""
        return cast(Tensor, self.network(self.normalize(pixels)))


def build_model(
    arch: str,
    *,
    n_classes: int,
    weights: str = "none",
    seed: int = 0,
    preprocess: PreprocessSpec | None = None,
) -> Classifier:
    """Return a classifier with a head for `n_classes`, in channels_last memory format.

    Args:
        arch: `compact`, `efficientnet_lite0` to `2`, a name of `torchvision.models.list_models`,
            or `timm/` and a name of `timm.list_models`, with or without the tag of its weights.
        n_classes: K.
        weights: `none`, `imagenet`, or the path of a model.pt or of a state dict, also of
            safetensors.
        seed: of the initial weights.
        preprocess: whose mean and standard deviation the first layer takes; None is ImageNet's.

    Raises:
        ParamsError: the architecture is unknown, or the weights cannot be had or do not fit.
    """
    # Of the CPU alone: networks are made there, and no GPU is looked at that another process uses.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = _build_network(arch, n_classes, pretrained=weights == "imagenet")
    if weights not in ("none", "imagenet"):
        _load_weights(network, Path(weights))
    spec = preprocess or PreprocessSpec(size_px=1)
    model = Classifier(network, mean=spec.mean, std=spec.std)
    return model.to(memory_format=torch.channels_last)


def initial_model(
    arch: str,
    *,
    n_classes: int,
    weights: str,
    seed: int,
    train: PackedSplit,
    preprocess: PreprocessSpec | None = None,
) -> Classifier:
    """Return a classifier as it is before its first step; see `build_model` and `fit_to_data`.

    A file of weights brings what `compact` takes from the images: its further layers were trained
    on that.
    """
    model = build_model(
        arch, n_classes=n_classes, weights=weights, seed=seed, preprocess=preprocess
    )
    if weights == "imagenet":
        _warn_of_licence(arch)
    if weights == "none":
        fit_to_data(model, train)
    return model


@torch.no_grad()
def fit_to_data(model: Classifier, train: PackedSplit) -> None:
    """Set what a network takes from the training images before the first step.

    Only `compact` takes something, its whitening; other networks stay as they are.
    """
    if isinstance(model.network, Compact):
        index = np.linspace(0, len(train) - 1, min(len(train), WHITENING_IMAGES)).astype(int)
        slices = np.array_split(index, math.ceil(len(index) / WHITENING_SLICE))
        model.network.fit_whitening(
            model.normalize(torch.from_numpy(train.pixels[part])) for part in slices
        )


def head_of(model: Classifier) -> nn.Module:
    """Return the layer that makes the logits."""
    return model.network.get_submodule(_head_name(model.network))


def head_parameters(model: Classifier) -> list[nn.Parameter]:
    """Return the parameters of the last layer."""
    return list(head_of(model).parameters())


def without_head(model: Classifier) -> dict[str, Tensor]:
    """Return the state dict of all but the last layer."""
    head = f"network.{_head_name(model.network)}."
    return {name: value for name, value in model.state_dict().items() if not name.startswith(head)}


def _build_network(arch: str, n_classes: int, *, pretrained: bool) -> nn.Module:
    if arch == "compact":
        if pretrained:
            raise ParamsError(
                "model.weights: found imagenet, allowed for compact: none or a path; "
                "it has no published weights, try model.arch efficientnet_lite0"
            )
        return Compact(n_classes)
    if arch in LITE_SIZES_PX:
        return _lite(arch, n_classes, pretrained=pretrained)
    if arch.startswith(TIMM):
        return _timm(arch.removeprefix(TIMM), n_classes, pretrained=pretrained)
    return _torchvision(arch, n_classes, pretrained=pretrained)


def _lite(arch: str, n_classes: int, *, pretrained: bool) -> nn.Module:
    network = EfficientNetLite(arch, IMAGENET_CLASSES if pretrained else n_classes)
    if pretrained:
        tensors = torch.load(lite_weights_path(arch), map_location="cpu", weights_only=True)
        # The file has other names, the same order and, which load_state_dict checks, shapes.
        network.load_state_dict(dict(zip(network.state_dict(), tensors.values(), strict=True)))
        _replace_head(network, n_classes)
    return network


def _timm(name: str, n_classes: int, *, pretrained: bool) -> nn.Module:
    import timm  # slow to import

    if not timm.is_model(name.partition(".")[0]):
        raise unknown_arch(f"{TIMM}{name}", (f"{TIMM}{each}" for each in timm.list_models()))
    try:
        network = timm.create_model(name, pretrained=pretrained, num_classes=n_classes)
    except Exception as error:  # of the hub's client, of HTTP, of the file system
        if not pretrained:
            raise ParamsError(f"model.arch: timm/{name}: {_brief(error)}") from error
        hub = timm.get_pretrained_cfg(name).hf_hub_id or "its publisher"
        raise ParamsError(
            f"model.weights: imagenet weights of timm/{name} cannot be downloaded "
            f"({type(error).__name__}); fetch model.safetensors of {hub} from the Hugging Face "
            "hub and set model.weights to its path, or set none"
        ) from error
    return cast(nn.Module, network)


def _torchvision(arch: str, n_classes: int, *, pretrained: bool) -> nn.Module:
    from torchvision import models  # slow to import, and not needed for our own networks

    if arch not in (names := models.list_models(module=models)):
        raise unknown_arch(arch, names)
    options: dict[str, Any] = (
        {"init_weights": True} if arch in ("googlenet", "inception_v3") else {}
    )
    if not pretrained:
        network = models.get_model(arch, weights=None, **options)
    else:
        try:
            network = models.get_model(arch, weights="DEFAULT")
        except (OSError, RuntimeError) as error:
            url = models.get_model_weights(arch).DEFAULT.url
            raise ParamsError(
                f"model.weights: imagenet weights of {arch} cannot be downloaded ({error}); "
                f"set none, or fetch {url} into {torch.hub.get_dir()}/checkpoints and run again"
            ) from error
    _remove_auxiliary_heads(network)
    _replace_head(network, n_classes)
    return cast(nn.Module, network)


def _warn_of_licence(arch: str) -> None:
    licence = weights_facts(arch, "imagenet").licence
    if is_non_commercial(licence):
        log.warning("the imagenet weights of %s are %s: no commercial use", arch, licence)


def _head_name(network: nn.Module) -> str:
    """Return the name of the layer that makes the logits.

    timm's networks say it; elsewhere it is the last linear layer, or else the last convolution.
    """
    if config := getattr(network, "pretrained_cfg", None):
        named: str | tuple[str, ...] = config["classifier"]
        return named if isinstance(named, str) else named[0]
    modules = list(network.named_modules())
    linear: list[str] = [name for name, module in modules if isinstance(module, nn.Linear)]
    convolutions: list[str] = [name for name, module in modules if isinstance(module, nn.Conv2d)]
    return (linear or convolutions)[-1]  # SqueezeNet's head is a convolution


def _remove_auxiliary_heads(network: nn.Module) -> None:
    """Make Inception and GoogLeNet plain networks, the same with and without pretrained weights.

    Their further heads, for the training alone, refuse small images, and torchvision decides by the
    weights whether they are there and whether the input is scaled.
    """
    if hasattr(network, "aux_logits"):
        network.aux_logits = False  # type: ignore[assignment]
        network.transform_input = True  # type: ignore[assignment]
        for name in AUXILIARY_HEADS:
            if hasattr(network, name):
                setattr(network, name, None)


def _replace_head(network: nn.Module, n_classes: int) -> None:
    name = _head_name(network)
    old = network.get_submodule(name)
    new: nn.Module
    if isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, n_classes)
    else:
        assert isinstance(old, nn.Conv2d)
        new = nn.Conv2d(old.in_channels, n_classes, 1)
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, new)


def _load_weights(network: nn.Module, path: Path) -> None:
    """Load a state dict; a head for another number of classes is left as it was made."""
    further = tuple(f"{name}." for name in AUXILIARY_HEADS)
    state = {k: v for k, v in _read_state(path).items() if not k.startswith(further)}
    own = network.state_dict()
    head = _head_name(network)
    for name in [n for n in state if n.startswith(f"{head}.") and n in own]:
        if state[name].shape != own[name].shape:
            state[name] = own[name]
    try:
        network.load_state_dict(state)
    except (RuntimeError, AttributeError) as error:
        detail = " ".join(str(error).split())[:300]
        raise ParamsError(f"model.weights: {path} does not fit model.arch: {detail}") from error


def _read_state(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except OSError as error:
        raise ParamsError(
            f"model.weights: found {str(path)!r}, allowed: none, imagenet, or the path of a file "
            f"that can be read ({error.strerror})"
        ) from error
    except (
        Exception
    ) as error:  # the restricted unpickler raises many types on damaged or hostile files
        raise ParamsError(
            f"model.weights: {path} is not a file of weights ({type(error).__name__})"
        ) from error
    state = content.get("state", content) if isinstance(content, dict) else {}
    network = _network_part(state) if isinstance(state, dict) else {}
    if not network:
        raise ParamsError(f"model.weights: {path} holds no state dict")
    return network


def _read_safetensors(path: Path) -> dict[str, Any]:
    import safetensors.torch

    try:
        return cast(dict[str, Any], safetensors.torch.load_file(path))
    except (OSError, safetensors.SafetensorError) as error:
        raise ParamsError(f"model.weights: {path} cannot be read: {_brief(error)}") from error


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _network_part(state: dict[Any, Any]) -> dict[str, Tensor]:
    """Return the network's tensors, named as in a network alone; none if others are among them."""
    rest = {name: value for name, value in state.items() if name not in ("mean", "std")}
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in rest.items()):
        return {}
    return {name.removeprefix("network."): value for name, value in rest.items()}
