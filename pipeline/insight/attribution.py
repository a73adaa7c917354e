"""Where a network looked: one heat-map per image, by class activation.

Grad-CAM (Selvaraju et al. 2017, section 3) on the last map of the network, as captum computes it.
Where the logits are one linear layer on the global average of that map, Grad-CAM is the exact class
activation map of Zhou et al. 2016 up to a positive factor (Selvaraju, section 3.1, equation 5), so
one method serves every network, and the exported model's output `cam` shows the same places.
"""

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.imaging.preprocess import Pixels
from pipeline.insight.inspection import inspecting, last_map
from pipeline.modeling.zoo import Classifier

Maps = NDArray[np.float32]


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
        layer, shape = last_map(model, image_px=pixels.shape[1:3])
        starts = range(0, len(pixels), batch_size)
        parts = [
            _batch(model, layer, pixels[k : k + batch_size], classes[k : k + batch_size])
            for k in starts
        ]
    return np.concatenate([np.zeros((0, *shape), np.float32), *parts])


def _batch(model: Classifier, layer: nn.Module, pixels: Pixels, classes: NDArray[np.int64]) -> Maps:
    device = model.mean.device
    images = model.normalize(torch.tensor(pixels, device=device)).requires_grad_()

    def evidence(images: Tensor) -> Tensor:
        logits: Tensor = model.network(images)
        return logits - logits.mean(dim=1, keepdim=True)

    target = torch.tensor(classes, device=device)
    maps = LayerGradCam(evidence, layer).attribute(images, target, relu_attributions=True)
    assert isinstance(maps, Tensor)
    largest = maps.amax(dim=(1, 2, 3), keepdim=True)
    scaled = maps / largest.clamp_min(torch.finfo(maps.dtype).tiny)
    return scaled[:, 0].float().cpu().detach().numpy()
