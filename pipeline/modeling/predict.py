"""Logits of packed images, and the losses that follow from them."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.imaging.preprocess import Pixels
from pipeline.modeling.augment import resize
from pipeline.modeling.device import Compute
from pipeline.modeling.group import Group
from pipeline.packing.encoded import EncodedPixels, pixel_batches

View = Callable[[Tensor], Tensor]
"""Makes uint8 images (N, S, S, 3) of others of the same shape."""
CROP_SIDE = 7 / 8
"""224 of 256 pixels, as in Krizhevsky et al. 2012."""
CROPS_AT = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
"""Share of what is cut off that lies above and to the left: the corners, then the middle."""


def predict_logits(
    model: nn.Module,
    pixels: Pixels | EncodedPixels,
    *,
    compute: Compute,
    batch_size: int = 256,
    on_batch: Callable[[int], None] = lambda n_images: None,
) -> Tensor:
    """Return float32 logits (N, K) on the CPU from uint8 pixels (N, H, W, 3).

    Args:
        model: a `Classifier`; it is switched to evaluation.
        pixels: may be memory-mapped or encoded; only a batch at a time is held.
        compute: where the model lives.
        batch_size: images per forward pass.
        on_batch: called with the number of images of each batch.
    """
    return predict_views(
        model, pixels, views=(whole,), compute=compute, batch_size=batch_size, on_batch=on_batch
    )[0]


def predict_together(
    model: nn.Module,
    pixels: Pixels | EncodedPixels,
    *,
    n_classes: int,
    compute: Compute,
    group: Group,
    batch_size: int = 256,
    on_batch: Callable[[int], None] = lambda n_images: None,
) -> Tensor:
    """Return what `predict_logits` does, every process of a group computing a part of it.

    `on_batch` is called equally often in all processes, so that they may send something there.
    """
    if group.size == 1:
        return predict_logits(
            model, pixels, compute=compute, batch_size=batch_size, on_batch=on_batch
        )
    rows = group.rows_of(len(pixels))
    logits = torch.zeros(len(pixels), n_classes)
    if rows.stop > rows.start:
        logits[rows] = predict_views(
            model,
            pixels,
            views=(whole,),
            compute=compute,
            batch_size=batch_size,
            on_batch=on_batch,
            rows=rows,
        )[0]
    most = -(-len(pixels) // group.size)
    for _ in range(_n_batches(most, batch_size) - _n_batches(rows.stop - rows.start, batch_size)):
        on_batch(0)
    group.add_up(logits)
    return logits


@torch.inference_mode()
def predict_views(
    model: nn.Module,
    pixels: Pixels | EncodedPixels,
    *,
    views: Sequence[View],
    compute: Compute,
    batch_size: int = 256,
    on_batch: Callable[[int], None] = lambda n_images: None,
    rows: slice | None = None,
) -> Tensor:
    """Return float32 logits (V, N, K) on the CPU: those of each of V views of the images.

    Args:
        model: as in `predict_logits`, and so are the others.
        pixels: read, or decoded, once.
        views: what is shown to the network in turn.
        compute: where the model lives.
        batch_size: images per forward pass.
        on_batch: called with the number of images of each batch, for each view.
        rows: which images; None is all.
    """
    model.eval()
    parts = []
    rows = slice(0, len(pixels)) if rows is None else rows
    starts = range(rows.start, rows.stop, batch_size)
    slices = [slice(start, min(start + batch_size, rows.stop)) for start in starts]
    for images in pixel_batches(pixels, slices):
        batch = torch.tensor(images)
        logits = []
        for view in views:
            shown = view(batch).to(compute.device)
            with compute.autocast():
                logits.append(model(shown).float())
            on_batch(len(batch))
        parts.append(torch.stack(logits))
    return torch.cat(parts, dim=1).cpu()


def tta_views(name: str) -> tuple[View, ...]:
    """Return the views of a kind of test-time augmentation, the whole image first.

    Args:
        name: `none`; `flip`, the image and its mirror image; or `multi_crop`, the image, its four
            corners and its middle at `CROP_SIDE` of the side, scaled up again, each also mirrored:
            12 views. Krizhevsky et al. 2012, section 4.1, without the whole image.
    """
    if name == "none":
        return (whole,)
    places: list[View] = [whole]
    if name == "multi_crop":
        places += [partial(_crop, at=at) for at in CROPS_AT]
    return tuple(view for place in places for view in (place, partial(_mirrored, view=place)))


def _n_batches(n_images: int, batch_size: int) -> int:
    return -(-n_images // batch_size)


def whole(images: Tensor) -> Tensor:
    """Return the images as they are."""
    return images


def _mirrored(images: Tensor, *, view: View) -> Tensor:
    return view(images).flip(2)


def _crop(images: Tensor, *, at: tuple[float, float]) -> Tensor:
    """Cut a square out of (N, S, S, 3) images and scale it to S; `at` is (0, 0) top left."""
    side_px = images.shape[1]
    cut_px = max(1, round(CROP_SIDE * side_px))
    top, left = (round(share * (side_px - cut_px)) for share in at)
    cut = images[:, top : top + cut_px, left : left + cut_px].permute(0, 3, 1, 2)
    return resize(cut.contiguous(), side_px).permute(0, 2, 3, 1).contiguous()


def loss_and_accuracy(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy in nats and the share of right predictions."""
    loss = F.cross_entropy(logits.double(), labels)
    return float(loss), float((logits.argmax(1) == labels).double().mean())
