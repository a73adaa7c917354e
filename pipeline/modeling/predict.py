"""Logits of packed images, and the losses that follow from them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.imaging.preprocess import Pixels
from pipeline.modeling.device import Compute
from pipeline.packing.encoded import EncodedPixels, pixel_batches


@torch.inference_mode()
def predict_logits(
    model: nn.Module,
    pixels: Pixels | EncodedPixels,
    *,
    compute: Compute,
    batch_size: int = 256,
    mirrored: bool = False,
    on_batch: Callable[[int], None] = lambda n_images: None,
) -> Tensor:
    """Return float32 logits (N, K) on the CPU from uint8 pixels (N, H, W, 3).

    Args:
        model: a `Classifier`; it is switched to evaluation.
        pixels: may be memory-mapped or encoded; only a batch at a time is held.
        compute: where the model lives.
        batch_size: images per forward pass.
        mirrored: flip the images left to right first.
        on_batch: called with the number of images of each batch.
    """
    model.eval()
    parts = []
    starts = range(0, len(pixels), batch_size)
    slices = [slice(start, start + batch_size) for start in starts]
    for images in pixel_batches(pixels, slices):
        batch = torch.tensor(images)
        batch = batch.flip(2) if mirrored else batch
        with compute.autocast():
            parts.append(model(batch.to(compute.device)).float())
        on_batch(len(batch))
    return torch.cat(parts).cpu()


def loss_and_accuracy(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy in nats and the share of right predictions."""
    loss = F.cross_entropy(logits.double(), labels)
    return float(loss), float((logits.argmax(1) == labels).double().mean())


def flip_averaged(plain: Tensor, mirrored: Tensor) -> Tensor:
    """Return log-probabilities (N, K) of the mean of two predictions' probabilities."""
    return torch.stack([plain, mirrored]).double().softmax(2).mean(0).log()
