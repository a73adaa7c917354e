"""params.yaml as frozen dataclasses, read as DVC reads it and refused where it cannot be meant.

YAML 1.2 decides what is a number (`1e-3` is one) and what is a truth value (only true and false).
"""

import re
import types
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pipeline.core.errors import ParamsError
from pipeline.core.yaml12 import parse_yaml


@dataclass(frozen=True, slots=True)
class Between:
    """A closed range; `above` and `below` are the open ends."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def allows(self, value: float) -> bool:
        """Tell whether `value` lies in the range; NaN never does."""
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and abs(value) < float("inf")
        )

    def __str__(self) -> str:
        bounds = (
            ("at least", self.low),
            ("above", self.above),
            ("at most", self.high),
            ("below", self.below),
        )
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)


Count = Annotated[int, Between(low=1)]
Seed = Annotated[int, Between(low=0, below=2**32)]
Fraction = Annotated[float, Between(above=0, below=1)]
Rate = Annotated[float, Between(above=0, high=1000)]
SidePx = Annotated[int, Between(low=16, high=1024)]
Text = Annotated[str, "not empty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataParams:
    """Where the images come from."""

    source: Text | Annotated[tuple[Text, ...], "(one or more)"]
    """`synthetic`, a preset, a path or URL of a zip or tar archive, or a folder; or several."""
    sha256: str | tuple[str | None, ...] | None
    """Checksum of the archive or folder, one for each source; null accepts what comes."""
    max_members: Count
    """Files and folders of one source; this and the next five are limits for each source."""
    max_member_bytes: Count
    max_total_bytes: Count
    max_ratio: Count
    """Unpacked bytes per packed byte."""
    max_name_chars: Count
    max_depth: Count
    """Folders inside each other."""
    synthetic_images: Annotated[int, Between(low=60, high=100_000)]
    """How many images `synthetic` draws."""
    synthetic_seed: Seed

    def __post_init__(self) -> None:
        n_sources = len(self.source) if isinstance(self.source, tuple) else 1
        if isinstance(self.source, tuple) and len(set(self.source)) < n_sources:
            raise ParamsError("data.source: found a source twice, allowed: each once")
        if self.sha256 is None:
            return
        checksums = self.sha256 if isinstance(self.sha256, tuple) else (self.sha256,)
        if len(checksums) != n_sources:
            raise ParamsError(
                f"data.sha256: found {len(checksums)} for {n_sources} sources, "
                "allowed: a list with one, or null, for each item of data.source; or null"
            )
        for checksum in checksums:
            if checksum is not None and not re.fullmatch("[0-9a-f]{64}", checksum):
                raise ParamsError(
                    f"data.sha256: found {checksum!r}, "
                    "allowed: 64 lower-case hexadecimal digits, or null"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitParams:
    """How images are assigned to train, valid and test."""

    method: Literal["hash", "exact"]
    """`hash` moves no image when others come or go, `exact` meets the fractions."""
    valid_fraction: Fraction
    test_fraction: Fraction
    seed: Seed
    keep_given: bool
    """Keep the split of data/metadata.csv, or of the source's train, valid and test folders."""

    def __post_init__(self) -> None:
        total = self.valid_fraction + self.test_fraction
        if total > 0.9:
            raise ParamsError(
                f"split.valid_fraction: with split.test_fraction found {total:g}, "
                "allowed: at most 0.9 together"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PackParams:
    """How images are decoded, once."""

    size_px: SidePx | None
    """Side of the packed square, which is what the network sees outside training; null is that of
    the weights."""
    fit: Literal["squash", "crop", "pad"] | None
    """How an image of another aspect becomes a square, see `pipeline.imaging.preprocess`; null is
    the way of the weights."""
    resample: Literal["bilinear", "bicubic"] | None
    """How pixels are interpolated; null is the way of the weights."""
    mode: Literal["array", "stream"]
    """Whether data/packed holds decoded pixels, or encoded images that are decoded when needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelParams:
    """Which network."""

    arch: Text
    """`compact`, `efficientnet_lite0` to `2`, a classifier of torchvision, or `timm/NAME`."""
    weights: Text
    """`none` (from scratch), `imagenet`, or the path of a model.pt, state dict or safetensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LrFindParams:
    """The learning rate range test (Smith 2017, section 3.3)."""

    min_lr: Rate
    max_lr: Rate
    steps_per_doubling: Annotated[int, Between(low=1, high=100)]
    """Optimizer steps in which the rate doubles, in the fine sweeps."""
    sweeps: Annotated[int, Between(low=1, high=20)]
    """Repetitions over fresh seeds; their curves are averaged."""
    stop_factor: Annotated[float, Between(above=1, high=100)]
    """A sweep stops when its smoothed loss exceeds the first and this multiple of the best."""
    rule: Literal["edge", "steepest", "minimum", "valley", "slide"]
    """How the rate is read off the curve; see `pipeline.modeling.lr_rules`."""
    seed: Seed

    def __post_init__(self) -> None:
        if self.min_lr * 4 > self.max_lr:
            raise ParamsError(
                f"lr_find.max_lr: found {self.max_lr:g}, "
                f"allowed: at least 4 x lr_find.min_lr = {4 * self.min_lr:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainParams:
    """How the network is fitted."""

    lr: Rate | None
    """Peak learning rate of the schedule; null takes the value suggested by lr_find."""
    head_lr: Rate | None
    """Peak rate of the epochs in which the body is frozen; null takes the value of lr_find."""
    no_suggestion: Literal["default", "stop"]
    """What to do where the range test has no answer: train at the default rate, or not at all."""
    epochs: Annotated[int, Between(low=1, high=10_000)]
    """Epochs with every layer trained."""
    freeze_epochs: Annotated[int, Between(low=0, high=1000)]
    """Epochs before those in which only the head is trained; for pretrained weights."""
    precompute: bool
    """Train the head in those epochs on features of the plain images, computed once."""
    lr_factors: Annotated[tuple[Annotated[float, Between(low=0, high=100)], ...], "one or more"]
    """Factors of the rate for as many layer groups, from the stem to the head."""
    patience: Count | None
    """Epochs without a better validation loss after which training stops; null never stops."""
    batch_size: Annotated[int, Between(low=2, high=8192)]
    seed: Seed
    optimizer: Literal["muon", "sgd", "adamw"]
    weight_decay: Annotated[float, Between(low=0, below=1)]
    warmup_fraction: Annotated[float, Between(low=0, below=1)]
    """Share of the steps in which the rate climbs to its peak."""
    schedule: Literal["linear", "one_cycle", "cosine", "sgdr"]
    """How the rate goes; see `pipeline.modeling.schedule`."""
    cycle_epochs: Count
    """Epochs of the first cycle of `sgdr`."""
    cycle_factor: Annotated[int, Between(low=1, high=10)]
    """How much longer each cycle of `sgdr` is than the one before."""
    clip_norm: Annotated[float, Between(above=0, high=1e9)] | None
    """Largest L2 norm of a step's gradient over all parameters; null does not clip."""
    accumulate: Annotated[int, Between(low=1, high=1024)]
    """Parts in which a batch goes through the network, to save memory."""
    ema_decay: Fraction | None
    """Share that the average of the weights keeps at each step; null takes the weights alone."""
    balance: Literal["none", "weights", "sampler"]
    """How rare classes are made up for: in the loss, or by showing their images more often."""
    sizes_px: Annotated[tuple[SidePx, ...], "one or more sizes"]
    """Sides of the training crops, in order; the steps are shared out equally."""
    crop_min_area: Annotated[float, Between(above=0, high=1)]
    """Smallest share of the image's area in a random crop; 1 turns cropping off."""
    flip: bool
    """Mirror half of the training images."""
    jitter: Annotated[float, Between(low=0, high=1)]
    """Brightness, contrast and saturation change by a factor of up to 1 +- this."""
    erasing: Annotated[float, Between(low=0, high=1)]
    """Share of images of which a random rectangle is painted over."""
    mixup: Annotated[float, Between(low=0, high=100)]
    """Alpha of mixup; 0 turns it off."""
    cutmix: Annotated[float, Between(low=0, high=100)]
    """Alpha of CutMix; 0 turns it off."""
    label_smoothing: Annotated[float, Between(low=0, below=0.5)]
    precision: Literal["auto", "bf16", "fp32"]
    """`auto` is bf16 where the hardware multiplies it natively."""

    def __post_init__(self) -> None:
        if self.precompute and not self.freeze_epochs:
            raise ParamsError(
                "train.precompute: found true with train.freeze_epochs 0, allowed: false; "
                "features are for the epochs in which the body is frozen"
            )
        if self.accumulate > self.batch_size:
            raise ParamsError(
                f"train.accumulate: found {self.accumulate}, "
                f"allowed: at most train.batch_size = {self.batch_size}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateParams:
    """What is measured, and how sure an answer must be."""

    batch_size: Annotated[int, Between(low=1, high=8192)]
    tta: Literal["none", "flip", "multi_crop"]
    """Views of the image over which predictions are averaged, for figures beside the plain ones."""
    calibrate: bool
    """Fit the temperature on the validation split; false leaves it at 1."""
    reject_risk: Annotated[float, Between(low=0, below=1)] | None
    """Wanted share of wrong ones among the answers; the least sure images are unsure."""
    reject_coverage: Annotated[float, Between(above=0, high=1)] | None
    """Wanted share of images that get an answer. At most one of the two; null, null: all do."""

    def __post_init__(self) -> None:
        if self.reject_risk is not None and self.reject_coverage is not None:
            raise ParamsError(
                f"evaluate.reject_risk: found {self.reject_risk:g} with evaluate.reject_coverage "
                f"{self.reject_coverage:g}, allowed: one of them, the other null"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOnnxParams:
    """The ONNX file and the limits it must keep."""

    exporter: Literal["auto", "dynamo", "legacy"]
    """Which of torch's exporters; `auto` takes the first whose file passes the gate."""
    opset: Annotated[int, Between(low=18, high=25)]
    cam: bool
    """Give class activation maps as an output, where the architecture has them exactly."""
    parity_images: Count
    """How many validation images are compared."""
    max_logit_diff: Annotated[float, Between(above=0, below=1)]
    """Largest difference of a logit between checkpoint and ONNX file."""
    max_prob_diff: Annotated[float, Between(above=0, below=1)]
    max_metric_diff: Annotated[float, Between(low=0, below=1)]
    """Largest difference of accuracy and of log loss."""
    max_flipped: Annotated[int, Between(low=0)]
    """Images that may get another class."""
    max_pixel_diff: Annotated[int, Between(low=0, high=255)]
    """Largest difference of a value between preprocess.onnx and Pillow, of 255."""
    golden_images: Annotated[int, Between(low=1, high=1000)]
    int8: Literal["auto", "require", "off"]
    """Whether a quantised model that loses too much accuracy is left out, or an error."""
    int8_max_accuracy_drop: Annotated[float, Between(low=0, below=1)]
    calibration_images: Annotated[int, Between(low=1, high=10_000)]
    """Training images from which the ranges of the activations are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportParams:
    """The page for people."""

    images_per_panel: Annotated[int, Between(low=1, high=64)]
    channels_per_stage: Annotated[int, Between(low=1, high=8)]
    seed: Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class CardParams:
    """What the model card says that nothing else knows; null is `not stated`."""

    title: Text | None
    author: Text | None
    contact: Text | None
    model_licence: Text | None
    data_licence: Text | None
    code_licence: Text | None
    intended_use: Text | None
    out_of_scope: Text | None
    probe_images: Annotated[int, Between(low=4, high=100_000)]
    """Drawn pictures of no class to which the model's answers are counted."""
    seed: Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeParams:
    """Where it runs; nothing here may change a result, so no stage of dvc.yaml lists it."""

    device: Literal["auto", "cpu", "cuda"]
    workers: Count | None
    """Processes that decode images; null is one per core."""
    threads: Annotated[int, Between(low=1, high=1024)] | None
    """Threads of a training or evaluating process; null is one per core."""
    launcher: Literal["none", "torchrun"]
    """How training processes are started; `none` is one process, `torchrun` PyTorch's launcher."""
    processes: Count | None
    """How many processes `torchrun` starts on this machine; null is one per GPU."""
    checkpoint_seconds: Annotated[float, Between(low=0, high=1e9)]
    """Time between two checkpoints of a training; 0 makes one after every step."""
    resume: bool
    """Go on with a training that was stopped; false starts it afresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Everything that params.yaml sets, one section a field."""

    data: DataParams
    split: SplitParams
    pack: PackParams
    model: ModelParams
    lr_find: LrFindParams
    train: TrainParams
    evaluate: EvaluateParams
    export_onnx: ExportOnnxParams
    report: ReportParams
    card: CardParams
    runtime: RuntimeParams


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml.

    Raises:
        ParamsError: the file is missing or not YAML, or a key is unknown, missing, of the wrong
            type or out of range; the message names `section.key`, what was found, what is allowed.
    """
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: not found; run from the repository's top folder") from error
    except (OSError, ValueError) as error:
        raise ParamsError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    return parse_params(tree)


def parse_params(tree: object) -> Params:
    """Turn the parsed YAML document into `Params`; errors as in `load_params`."""
    sections = _checked_keys(tree, [f.name for f in fields(Params)], prefix="")
    hints = get_type_hints(Params)
    return Params(**{name: _section(hints[name], name, sections[name]) for name in hints})


def _section(cls: type, name: str, tree: object) -> Any:
    keys = _checked_keys(tree, [f.name for f in fields(cls)], prefix=f"{name}.")
    hints = get_type_hints(cls, include_extras=True)
    return cls(**{key: _value(hints[key], f"{name}.{key}", keys[key]) for key in hints})


def _checked_keys(tree: object, allowed: Sequence[str], *, prefix: str) -> dict[str, Any]:
    """Return `tree` as a mapping with exactly the allowed keys."""
    where = prefix.rstrip(".") or "params.yaml"
    if not isinstance(tree, dict):
        raise ParamsError(
            f"{where}: found {_shown(tree)}, allowed: a mapping of {', '.join(allowed)}"
        )
    for key in tree:
        if key not in allowed:
            raise ParamsError(f"{prefix}{key}: unknown key, allowed: {', '.join(allowed)}")
    for key in allowed:
        if key not in tree:
            raise ParamsError(
                f"{prefix}{key}: missing key, found {', '.join(map(str, tree)) or 'none'}"
            )
    return tree


def _value(hint: Any, name: str, value: object) -> Any:
    """Check one value against its annotation and return it, ints widened to float fields."""
    if _fits(hint, value):
        return _converted(hint, value)
    raise ParamsError(f"{name}: found {_shown(value)}, allowed: {_described(hint)}")


def _fits(hint: Any, value: object) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _fits(arguments[0], value) and _within(arguments[1], value)
    if origin in (Union, types.UnionType):
        return any(_fits(option, value) for option in arguments)
    if origin is Literal:
        return value in arguments and isinstance(value, str)
    if origin is tuple:
        return isinstance(value, list) and all(_fits(arguments[0], item) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _within(constraint: Any, value: Any) -> bool:
    return constraint.allows(value) if isinstance(constraint, Between) else bool(value)


def _converted(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _converted(arguments[0], value)
    if origin in (Union, types.UnionType):
        return _converted(next(option for option in arguments if _fits(option, value)), value)
    if origin is tuple:
        return tuple(_converted(arguments[0], item) for item in value)
    return float(value) if hint is float else value


def _described(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"{_described(arguments[0])} {arguments[1]}"
    if origin in (Union, types.UnionType):
        return " or ".join(_described(option) for option in arguments)
    if origin is Literal:
        return ", ".join(arguments)
    if origin is tuple:
        return f"a list, each item {_described(arguments[0])}"
    names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
    return names.get(hint, "null")


def _shown(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = re.sub(r"//[^\s'\"]*@", "//***@", repr(value))  # a password in a URL
    return text if len(text) <= 80 else text[:77] + "..."
