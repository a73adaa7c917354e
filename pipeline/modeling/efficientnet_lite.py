"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6; made for CPUs.

Tan & Le 2019, arXiv:1905.11946, section 4; the Lite variants are TensorFlow's (2020), whose weights
come as Python packages. timm's `tf_efficientnet_lite0` is the same network, to rounding (a test
compares them); this one needs no import of timm, which is two seconds of every stage.
"""

import math
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

NORM_EPS = 1e-3  # TensorFlow's, as the weights were trained
STEM_WIDTH, LAST_WIDTH = 32, 1280


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one kind, before scaling."""

    n_blocks: int
    expand: int
    kernel_px: int
    stride: int
    width: int


STAGES = (
    Stage(1, 1, 3, 1, 16),
    Stage(2, 6, 3, 2, 24),
    Stage(2, 6, 5, 2, 40),
    Stage(3, 6, 3, 2, 80),
    Stage(3, 6, 5, 1, 112),
    Stage(4, 6, 5, 2, 192),
    Stage(1, 6, 3, 1, 320),
)
SCALES = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
"""Factors of width and depth."""


class EfficientNetLite(nn.Module):
    """Stem, seven stages of inverted residual blocks, a 1 x 1 convolution, mean, linear head."""

    def __init__(self, name: str, n_classes: int) -> None:
        super().__init__()
        width_factor, depth_factor = SCALES[name]
        self.stem = _ConvNorm(3, STEM_WIDTH, kernel_px=3, stride=2)
        stages, before = [], STEM_WIDTH
        for index, stage in enumerate(STAGES):
            width = _rounded(stage.width * width_factor)
            ends = index in (0, len(STAGES) - 1)  # Lite scales neither the first nor the last
            n_blocks = stage.n_blocks if ends else math.ceil(stage.n_blocks * depth_factor)
            blocks = []
            for number in range(n_blocks):
                stride = 1 if number else stage.stride
                blocks.append(_Block(before, width, stage, stride=stride))
                before = width
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.last = _ConvNorm(before, LAST_WIDTH, kernel_px=1)
        self.fc = nn.Linear(LAST_WIDTH, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of normalised images (N, 3, H, W)."""
        features = self.last(self.blocks(self.stem(images)))
        return cast(Tensor, self.fc(features.mean(dim=(2, 3))))


class _Block(nn.Module):
    """Expand by 1 x 1, filter each channel, project by 1 x 1; a shortcut where shapes allow."""

    def __init__(self, before: int, width: int, stage: Stage, *, stride: int) -> None:
        super().__init__()
        inner = before * stage.expand
        self.expand = _ConvNorm(before, inner, kernel_px=1) if stage.expand > 1 else nn.Identity()
        self.filter = _ConvNorm(
            inner, inner, kernel_px=stage.kernel_px, stride=stride, groups=inner
        )
        self.project = _ConvNorm(inner, width, kernel_px=1, active=False)
        self.shortcut = stride == 1 and before == width

    def forward(self, x: Tensor) -> Tensor:
        found = self.project(self.filter(self.expand(x)))
        return cast(Tensor, x + found if self.shortcut else found)


class _ConvNorm(nn.Module):
    """Convolution with TensorFlow's SAME padding, batch norm, ReLU6."""

    def __init__(
        self,
        before: int,
        width: int,
        *,
        kernel_px: int,
        stride: int = 1,
        groups: int = 1,
        active: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, width, kernel_px, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(width, eps=NORM_EPS)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        kernel_px, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if stride == 1:
            padded, padding = x, kernel_px // 2
        else:
            # The odd pixel lies below and to the right, which Conv2d's own padding cannot do.
            sides = [_padding(int(side), kernel_px, stride) for side in (x.shape[3], x.shape[2])]
            padded = F.pad(x, [part for side in sides for part in side])
            padding = 0
        found = F.conv2d(padded, self.conv.weight, None, stride, padding, 1, self.conv.groups)
        normed = self.norm(found)
        return F.relu6(normed) if self.active else normed


def _padding(side: int, kernel_px: int, stride: int) -> tuple[int, int]:
    """Return the pixels before and after an axis, of which ceil(side / stride) are to come."""
    total = max(0, (math.ceil(side / stride) - 1) * stride + kernel_px - side)
    return total // 2, total - total // 2


def _rounded(width: float) -> int:
    """Return the multiple of 8 next to a width, at least 90 % of it."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * width else nearest
