"""What a convolution, a ReLU and a max-pool do to a picture: hand-made kernels and learned ones."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.insight.inspection import inspecting
from pipeline.insight.kernels import first_convolution, rgb_tiles
from pipeline.insight.pictures import Bytes, Floats, Picture, picture, shrunk, signed
from pipeline.modeling.zoo import Classifier

SIDE_PX = 112
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's mode L
HAND_MADE: dict[str, tuple[str, tuple[tuple[float, ...], ...]]] = {
    "Sobel x": ("edges from left to right", ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))),
    "Sobel y": ("edges from top to bottom", ((-1, -2, -1), (0, 0, 0), (1, 2, 1))),
    "Blur": ("the mean of the neighbours", ((1 / 9,) * 3,) * 3),
    "Sharpen": ("more of what differs", ((0, -1, 0), (-1, 5, -1), (0, -1, 0))),
    "Emboss": ("light from the upper left", ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))),
}
LEARNED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A kernel and what becomes of the picture."""

    name: str
    text: str
    kernel: Picture
    convolved: Picture
    rectified: Picture
    pooled: Picture


def convolve(grey: Floats, kernel: Floats) -> Floats:
    """Return the (H, W) answers of a kernel at every place of (H, W), the border repeated.

    It is the networks' convolution, which does not turn the kernel over (a cross-correlation).
    """
    image = torch.from_numpy(grey.astype(np.float32))[None, None]
    weight = torch.from_numpy(kernel.astype(np.float32))[None, None]
    margin = kernel.shape[0] // 2
    padded = F.pad(image, (margin,) * 4, mode="replicate")
    answers: Floats = F.conv2d(padded, weight)[0, 0].numpy()
    return answers


def hand_made(pixels: Bytes) -> tuple[Steps, ...]:
    """Return what well-known kernels make of the lightness of a picture (H, W, 3)."""
    grey = shrunk(pixels, side_px=SIDE_PX).astype(np.float32) @ np.array(LUMA) / 255
    found = []
    for name, (text, rows) in HAND_MADE.items():
        kernel = np.array(rows)
        # Kernels whose values sum up to 1 keep the lightness, so their answer is a picture.
        keeps = abs(kernel.sum() - 1) < 1e-6
        found.append(_steps(name, text, signed(kernel), convolve(grey, kernel), as_picture=keeps))
    return tuple(found)


@torch.no_grad()
def learned(model: Classifier, pixels: Bytes) -> tuple[Steps, ...]:
    """Return what the kernels of the first layer that answer most make of a picture (H, W, 3)."""
    convolution = first_convolution(model)
    if convolution is None:
        return ()
    caught: list[Tensor] = []
    hook = convolution.register_forward_hook(lambda _m, _i, output: caught.append(output.clone()))
    try:
        with inspecting(model), torch.no_grad():
            model(torch.tensor(pixels[None], device=model.mean.device))
    finally:
        hook.remove()
    answers = caught[0][0].float().cpu()
    tiles = rgb_tiles(convolution.weight.detach().float().cpu().numpy())
    order = _unlike(answers[: len(tiles)], n=LEARNED)
    return tuple(
        _steps(f"Learned kernel {c}", "found by training", tiles[c], answers[c].numpy())
        for c in order
    )


def _unlike(answers: Tensor, *, n: int) -> list[int]:
    """Return n channels of (C, H, W): the strongest, then those least like the ones before."""
    flat = answers.flatten(1)
    flat = flat - flat.mean(dim=1, keepdim=True)
    strength = flat.norm(dim=1)
    unit = flat / strength.clamp_min(1e-12)[:, None]
    chosen = [int(strength.argmax())]
    while len(chosen) < min(n, len(answers)):
        likeness = (unit @ unit[chosen].T).abs().amax(dim=1)
        chosen.append(int((strength * (1 - likeness)).argmax()))
    return chosen


def _steps(
    name: str, text: str, kernel: Bytes, answers: Floats, *, as_picture: bool = False
) -> Steps:
    rectified = np.maximum(answers, 0)
    pooled = F.max_pool2d(torch.tensor(rectified)[None], 2)[0].numpy()
    drawn = [_grey(v, answers, as_picture=as_picture) for v in (answers, rectified, pooled)]
    words = ("the answer", "after the ReLU", "after the max-pool")
    convolved, after_relu, after_pool = (
        picture(shrunk(d, side_px=SIDE_PX), alt=f"{name}: {w}")
        for d, w in zip(drawn, words, strict=True)
    )
    return Steps(
        name=name,
        text=text,
        kernel=picture(kernel, alt=f"{name}: the kernel"),
        convolved=convolved,
        rectified=after_relu,
        pooled=after_pool,
    )


def _grey(values: Floats, answers: Floats, *, as_picture: bool) -> Bytes:
    if as_picture:
        return (255 * values.clip(0, 1)).round().astype(np.uint8)
    # All steps of a kernel share one scale; a few extreme places shall not make the rest grey.
    return signed(values, largest=float(np.quantile(np.abs(answers), 0.99)))
