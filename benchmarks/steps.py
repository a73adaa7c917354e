"""A network that takes training steps, as the train stage takes them, for whoever has a clock."""

from dataclasses import dataclass

from torch import Tensor
from torch.optim import Optimizer

from pipeline.core.params import TrainParams
from pipeline.modeling.device import Compute
from pipeline.modeling.optimizers import build_optimizer
from pipeline.modeling.step import train_step
from pipeline.modeling.zoo import Classifier, build_model

LR = 1e-3  # small: what is timed does not depend on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepper:
    """Called with pixels (N, S, S, 3) and labels (N,), it takes one optimizer step."""

    model: Classifier
    optimizer: Optimizer
    label_smoothing: float
    compute: Compute

    def __call__(self, pixels: Tensor, labels: Tensor) -> None:
        train_step(
            self.model,
            self.optimizer,
            pixels,
            labels,
            label_smoothing=self.label_smoothing,
            compute=self.compute,
        )


def build_stepper(
    arch: str, params: TrainParams, *, compute: Compute, lr: float = LR, seed: int = 0
) -> Stepper:
    """Return an untrained network of two classes on the device, with the optimizer of params."""
    model = build_model(arch, n_classes=2, seed=seed).to(compute.device).train()
    optimizer = build_optimizer(
        params.optimizer, model, lr=lr, weight_decay=params.weight_decay, bf16=compute.bf16
    )
    return Stepper(
        model=model,
        optimizer=optimizer,
        label_smoothing=params.label_smoothing,
        compute=compute,
    )
