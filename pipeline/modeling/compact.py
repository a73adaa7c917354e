"""A compact convolutional network, made for training from scratch on a CPU.

Convolution, max-pool, batch norm, ReLU, four times, with residual blocks where the maps are small;
the first layer whitens 2x2 patches and is not trained (Jordan 2024, arXiv:2404.00498, section 3.2).
1.9 million parameters, 0.24 GFLOP forward per 64 px image.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (32, 64, 128, 256)
RESIDUAL_FROM = 2  # stages before this work on large maps, where a second convolution costs most
WHITEN_PX = 2
WHITEN_EPS = 5e-4  # keeps the last eigenvectors, mostly JPEG noise, from being blown up


class Compact(nn.Module):
    """Whitened stem, four stages, global average, linear head: images (N, 3, H, W) to logits."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        patch = 3 * WHITEN_PX**2
        self.whiten = nn.Conv2d(3, 2 * patch, WHITEN_PX, padding=WHITEN_PX // 2, bias=False)
        self.whiten.weight.requires_grad_(False)
        widths = (2 * patch, *WIDTHS)
        self.stages = nn.Sequential(
            *(
                _stage(before, after, residual=index >= RESIDUAL_FROM)
                for index, (before, after) in enumerate(zip(widths, WIDTHS, strict=False))
            )
        )
        self.fc = nn.Linear(WIDTHS[-1], n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K)."""
        features = self.stages(F.relu(self.whiten(images)))
        return cast(Tensor, self.fc(features.mean(dim=(2, 3))))

    @torch.no_grad()
    def fit_whitening(self, batches: Iterable[Tensor]) -> None:
        """Set the first layer so that 2x2 patches of images (N, 3, H, W) leave it uncorrelated."""
        n_values, n_patches = 3 * WHITEN_PX**2, 0
        products = torch.zeros(n_values, n_values, dtype=torch.float64)
        for images in batches:
            patches = F.unfold(images.double(), WHITEN_PX).transpose(1, 2).reshape(-1, n_values)
            products += patches.T @ patches
            n_patches += len(patches)
        covariance = products / n_patches
        values, vectors = torch.linalg.eigh(covariance)
        # The sign of an eigenvector is arbitrary; fixed, the layer is the same on every machine.
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        filters = (vectors * largest.sign() / (values + WHITEN_EPS).sqrt()).T.reshape(
            -1, 3, WHITEN_PX, WHITEN_PX
        )
        self.whiten.weight.copy_(torch.cat([filters, -filters]))


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


def _stage(before: int, after: int, *, residual: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.MaxPool2d(2),  # before batch norm and ReLU: a quarter of their work, the same result
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, *([_Residual(after)] if residual else []))
