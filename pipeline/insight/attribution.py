"""Where a network looked: one heat-map per image, by class activation.

Grad-CAM (Selvaraju et al. 2017, section 3), as captum computes it, on the last map of the network.
Where the logits are one linear layer on the global average of that map, Grad-CAM is the exact class
activation map of Zhou et al. 2016 up to a positive factor (Selvaraju, section 3.1, equation 5), so
one method serves every network, and the exported model's output `cam` shows the same places.

Small images shrink to a last map of few places, each of which sees most of the image: too coarse to
say where the animal is. Such a map is multiplied with that of an earlier, finer one, as Poly-CAM
does (Englebert et al. 2022, arXiv:2204.13359, section 3): what both agree on is left.
"""

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.imaging.preprocess import Pixels
from pipeline.insight.inspection import inspecting, last_map, maps_of
from pipeline.modeling.zoo import Classifier

Maps = NDArray[np.float32]
FINE_PLACES = 7
"""As many places a side as a ResNet has at 224 px; a coarser map gets help from a finer one."""


def heat_maps(
    model: Classifier, pixels: Pixels, classes: NDArray[np.int64], *, batch_size: int = 64
) -> Maps:
    """Return for each image how much each place spoke for a class, as (N, h, w) in [0, 1].

    What is explained is the class's logit less the mean of all logits: a softmax sees no more of
    the logits than their differences, so that what speaks for every class alike is no evidence for
    one. What speaks against the class is cut off at 0, and the largest value of a map is 1; a map
    is 0 everywhere if no place spoke for the class.

    Args:
        model: any classifier; its mode, weights and gradients are as before afterwards.
        pixels: (N, H, W, 3) uint8.
        classes: (N,) the class to explain in each image, mostly the predicted one.
        batch_size: images at a time.
    """
    with inspecting(model):
        layers, (height, width) = _layers(model, image_px=pixels.shape[1:3])
        parts = [
            _batch(model, layers, pixels[k : k + batch_size], classes[k : k + batch_size])
            for k in range(0, len(pixels), batch_size)
        ]
    return np.concatenate([np.zeros((0, height, width), np.float32), *parts])


def _layers(
    model: Classifier, *, image_px: tuple[int, int]
) -> tuple[list[nn.Module], tuple[int, int]]:
    """Return the layers whose maps are multiplied, and (h, w) of the product."""
    maps = maps_of(model, image_px=image_px)
    # Behind a global average everything is one place; unless the image is tiny, it is passed over.
    last = last_map(maps, side=2) or maps[-1]
    finer = last_map(maps, side=FINE_PLACES) or last
    layers = [last.module] if finer is last else [finer.module, last.module]
    return layers, finer.shape[1:]


def _batch(
    model: Classifier, layers: list[nn.Module], pixels: Pixels, classes: NDArray[np.int64]
) -> Maps:
    device = model.mean.device
    images = model.normalize(torch.tensor(pixels, device=device)).requires_grad_()
    target = torch.tensor(classes, device=device)

    def evidence(images: Tensor) -> Tensor:
        logits: Tensor = model.network(images)
        return logits - logits.mean(dim=1, keepdim=True)

    first, *others = (
        LayerGradCam(evidence, layer).attribute(images, target, relu_attributions=True).detach()
        for layer in layers
    )
    product = _scaled(first)
    for other in others:
        coarse = F.interpolate(_scaled(other), size=first.shape[2:], mode="bilinear")
        product = _scaled(product * coarse)
    found: Maps = product[:, 0].float().cpu().numpy()
    return found


def _scaled(maps: Tensor) -> Tensor:
    """Divide each of the maps (N, 1, h, w) by its largest value."""
    largest = maps.amax(dim=(1, 2, 3), keepdim=True)
    return maps / largest.clamp_min(torch.finfo(maps.dtype).tiny)
