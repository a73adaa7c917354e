"""Kernel gradients gathered over many images: the same as torch's, and only where they help."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.modeling import weight_gradient as module
from pipeline.modeling.weight_gradient import GatheredWeightGradients, weight_gradient

FP32_ROUNDING = 2e-5  # of the largest entry, for sums of up to 5,000 products


def channels_last(*shape: int, seed: int) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return values.contiguous(memory_format=torch.channels_last)


def test_by_hand() -> None:
    """A 3 x 3 kernel over 2 x 2 pixels, padding 1: each tap sums the errors times its pixels."""
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    gradient = torch.tensor([[1.0, 10.0], [100.0, 1000.0]]).view(1, 1, 2, 2)
    found = weight_gradient(gradient, image, (3, 3), stride=(1, 1), padding=(1, 1))
    expected = [
        [1000 * 1, 100 * 1 + 1000 * 2, 100 * 2],
        [10 * 1 + 1000 * 3, 1 * 1 + 10 * 2 + 100 * 3 + 1000 * 4, 1 * 2 + 100 * 4],
        [10 * 3, 1 * 3 + 10 * 4, 1 * 4],
    ]
    assert found.view(3, 3).tolist() == expected


@pytest.mark.parametrize("n_images", [1, 7, 64])
@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding"),
    [
        (2, 3, 1, 1),
        (9, 3, 1, 1),
        (17, 3, 2, 1),
        (8, 5, 2, 2),
        (7, 2, 1, 0),
        (6, 3, 1, 0),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_all_three_gradients_are_those_of_double_precision(
    n_images: int, side: int, kernel: int, stride: int, padding: int, bias: bool
) -> None:
    conv = nn.Conv2d(24, 16, kernel, stride=stride, padding=padding, bias=bias)
    conv = conv.to(memory_format=torch.channels_last)
    images = channels_last(n_images, 24, side, side, seed=1)
    of_result = torch.randn_like(conv(images))
    expected = gradients(conv.double(), images.double(), of_result.double())
    with GatheredWeightGradients():
        found = gradients(conv.float(), images, of_result)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape
        error = (found[name].double() - value).abs().max() / value.abs().max()
        assert error < FP32_ROUNDING, name


def gradients(conv: nn.Conv2d, images: Tensor, of_result: Tensor) -> dict[str, Tensor]:
    images = images.clone().requires_grad_()
    conv.zero_grad()
    conv(images).backward(of_result)
    found = {"images": images.grad, "weight": conv.weight.grad}
    if conv.bias is not None:
        found["bias"] = conv.bias.grad
    return {name: value.clone() for name, value in found.items() if value is not None}


def test_images_that_are_not_divisible_into_equal_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven images three at a time: the last part is short, and padding stays zero."""
    images, kernel = channels_last(7, 16, 4, 4, seed=1), channels_last(8, 16, 3, 3, seed=2)
    of_result = channels_last(7, 8, 4, 4, seed=3)
    whole = weight_gradient(of_result, images, kernel.shape[2:], stride=(1, 1), padding=(1, 1))
    monkeypatch.setattr(module, "CACHED", 3 * 16 * 16 * 9)
    monkeypatch.setattr(module, "MIN_ROWS", 1)
    parts = weight_gradient(of_result, images, kernel.shape[2:], stride=(1, 1), padding=(1, 1))
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-4)


def test_the_forward_pass_is_the_same_to_the_bit() -> None:
    conv = nn.Conv2d(16, 8, 3, padding=1).to(memory_format=torch.channels_last)
    images = channels_last(2, 16, 6, 6, seed=1)
    with GatheredWeightGradients():
        found = conv(images)
    assert "_Conv2d" in found.grad_fn.name()
    assert torch.equal(found, conv(images))


def test_frozen_layers_below_a_trained_one() -> None:
    """A kernel that is not trained gets no gradient, and passes that of its images on."""
    first, second = nn.Conv2d(16, 16, 3), nn.Conv2d(16, 4, 3)
    first.requires_grad_(False)
    images = channels_last(2, 16, 8, 8, seed=1).requires_grad_()
    with GatheredWeightGradients():
        second(first(images)).sum().backward()
    assert first.weight.grad is None
    assert second.weight.grad is not None
    assert images.grad is not None


@pytest.mark.parametrize(
    ("images", "conv"),
    [
        (torch.zeros(1, 3, 8, 8), nn.Conv2d(3, 8, 3)),
        (torch.zeros(1, 16, 8, 8), nn.Conv2d(16, 8, 1)),
        (torch.zeros(1, 16, 8, 8), nn.Conv2d(16, 16, 3, groups=16)),
        (torch.zeros(1, 16, 8, 8), nn.Conv2d(16, 8, 3, dilation=2)),
        (torch.zeros(1, 16, 8, 8), nn.Conv2d(16, 8, 3, padding="same")),
        (torch.zeros(16, 8, 8), nn.Conv2d(16, 8, 3)),
        (torch.zeros(1, 16, 8, 8).double(), nn.Conv2d(16, 8, 3).double()),
    ],
    ids=["stem", "1x1", "depthwise", "dilated", "same", "no batch", "double"],
)
def test_torch_keeps_the_rest(images: Tensor, conv: nn.Conv2d) -> None:
    with GatheredWeightGradients():
        found = conv(images)
    assert "_Conv2d" not in found.grad_fn.name()
    found.sum().backward()
    assert conv.weight.grad is not None


def test_nothing_changes_where_no_gradient_is_wanted() -> None:
    conv = nn.Conv2d(16, 8, 3)
    with GatheredWeightGradients(), torch.no_grad():
        assert conv(torch.zeros(1, 16, 8, 8)).grad_fn is None


def test_outside_the_context_torch_computes() -> None:
    with GatheredWeightGradients():
        pass
    assert "_Conv2d" not in nn.Conv2d(16, 8, 3)(torch.zeros(1, 16, 8, 8)).grad_fn.name()
    assert F.conv2d is torch.conv2d
