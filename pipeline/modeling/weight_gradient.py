"""Gradients of convolution kernels as matrix products over many images at once.

On a CPU without AVX-512 oneDNN multiplies a channels-last kernel's gradient image by image, so a
map of 2 x 2 places makes products with four rows: 7 of 75 GFLOP/s (docs/benchmarks.md). Here the
patches under the kernel are gathered (im2col: Chellapilla et al. 2006) for as many images as fit
the cache, and multiplied together.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

MIN_CHANNELS = 16  # on three, oneDNN's own way is faster
CACHED = 2**18
"""Gathered numbers at a time: 1 MiB stays in a core's cache."""
MIN_ROWS = 512
"""Places at a time, however many numbers they gather: a product with fewer is slow."""


class GatheredWeightGradients(TorchFunctionMode):
    """While entered, `torch.conv2d` computes the gradient of its kernel in this way.

    Only where it is faster: fp32 on a CPU, one group, no dilation, kernels larger than 1 x 1 over
    `MIN_CHANNELS` and more. The result differs from torch's by rounding.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Take `torch.conv2d`, let everything else pass."""
        if func is torch.conv2d and not kwargs and _gathers(*args):
            images, kernel, bias, stride, padding = args[:5]
            return _Conv2d.apply(images, kernel, bias, stride, padding)
        return func(*args, **(kwargs or {}))


class _Conv2d(torch.autograd.Function):
    """`torch.conv2d` with another backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        kernel: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(images, kernel)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(images, kernel, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        images, kernel = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_images, _, of_bias = torch.ops.aten.convolution_backward(
            gradient,
            images,
            kernel,
            [len(kernel)],
            ctx.stride,
            ctx.padding,
            (1, 1),
            False,
            (0, 0),
            1,
            [ctx.needs_input_grad[0], False, ctx.needs_input_grad[2]],
        )
        of_kernel = weight_gradient(
            gradient, images, kernel.shape[2:], stride=ctx.stride, padding=ctx.padding
        )
        return of_images, of_kernel, of_bias, None, None


def weight_gradient(
    gradient: Tensor,
    images: Tensor,
    kernel_size: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Sequence[int],
) -> Tensor:
    """Return the gradient (C_out, C_in, KH, KW) of a convolution's kernel, channels last.

    Args:
        gradient: of the result (N, C_out, OH, OW).
        images: what was convolved (N, C_in, H, W).
        kernel_size: KH and KW.
        stride: of rows and columns.
        padding: zeros at each side of rows and columns.
    """
    n_images, channels = images.shape[:2]
    n_out, *places = gradient.shape[1:]
    rows, gathered = places[0] * places[1], channels * kernel_size[0] * kernel_size[1]
    at_once = min(n_images, max(1, CACHED // (rows * gathered), -(-MIN_ROWS // rows)))
    padded, inner = _padded(images, at_once, padding)
    by_image, by_row, by_column, _ = padded.stride()
    windows = padded.as_strided(
        (at_once, *places, kernel_size[0], kernel_size[1] * channels),
        (by_image, stride[0] * by_row, stride[1] * by_column, by_row, 1),
    )
    patches = images.new_empty(windows.shape)
    pixels = images.permute(0, 2, 3, 1)
    errors = gradient.permute(0, 2, 3, 1).reshape(-1, n_out)
    total = images.new_zeros(n_out, gathered)
    for start in range(0, n_images, at_once):
        n = min(at_once, n_images - start)
        inner[:n].copy_(pixels[start : start + n])
        patches[:n].copy_(windows[:n])
        here = errors[start * rows : (start + n) * rows]
        total.addmm_(here.T, patches[:n].view(n * rows, gathered))
    return total.view(n_out, *kernel_size, channels).permute(0, 3, 1, 2)


def _padded(images: Tensor, n_images: int, padding: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return zeros (N, H + 2 PH, W + 2 PW, C) and the view of them that images go to."""
    _, channels, height, width = images.shape
    top, left = padding
    padded = images.new_zeros(n_images, height + 2 * top, width + 2 * left, channels)
    return padded, padded[:, top : top + height, left : left + width]


def _gathers(
    images: Any,
    kernel: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> bool:
    """Tell whether a call of `torch.conv2d` is one that is faster this way."""
    return bool(
        torch.is_grad_enabled()
        and kernel.requires_grad
        and images.ndim == 4
        and images.dtype == kernel.dtype == torch.float32
        and images.device.type == "cpu"
        and groups == 1
        and isinstance(padding, tuple)
        and isinstance(stride, tuple)
        and dilation in (1, (1, 1))
        and kernel.shape[1] >= MIN_CHANNELS
        and kernel.shape[2] * kernel.shape[3] > 1
    )
