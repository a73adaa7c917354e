"""Muon on kernels, SGD on the rest, both at the rate of the moment."""

import copy
import weakref

import pytest
import torch
from torch import nn

from pipeline.modeling.optimizers import MuonWithSgd, build_optimizer, default_lr, set_lr


def conv(c_in=4, c_out=6):
    torch.manual_seed(0)
    return nn.Conv2d(c_in, c_out, 3, bias=False).to(memory_format=torch.channels_last)


def step_of(module, optimizer):
    before = module.weight.detach().clone()
    module.weight.grad = torch.randn_like(module.weight)
    optimizer.step()
    return module.weight.detach() - before


@pytest.mark.parametrize("bf16", [True, False])
def test_muons_step_on_a_kernel_is_nearly_orthogonal_and_as_long_as_the_rate(bf16):
    module = conv()
    optimizer = build_optimizer("muon", module, lr=0.1, weight_decay=0.0, bf16=bf16)
    step = step_of(module, optimizer).flatten(1)
    values = torch.linalg.svdvals(step) / 0.1
    # Jordan et al. 2024: five Newton-Schulz steps bring singular values to between 0.7 and 1.2.
    assert values.min() > 0.6
    assert values.max() < 1.3


@pytest.mark.parametrize("bf16", [True, False])
def test_a_wide_kernel_is_orthogonalised_in_blocks_of_rows(bf16):
    module = conv(c_in=64, c_out=300)  # blocks of 256 and 44 rows
    optimizer = build_optimizer("muon", module, lr=0.1, weight_decay=0.0, bf16=bf16)
    step = step_of(module, optimizer).permute(0, 2, 3, 1).flatten(1)
    for block in (step[:256], step[256:]):
        values = torch.linalg.svdvals(block) / 0.1
        assert values.min() > 0.6
        assert values.max() < 1.3
    # As one matrix it is longer than any orthogonal one: 300 rows whose blocks know nothing of
    # each other overlap.
    assert torch.linalg.svdvals(step).max() / 0.1 > 1.3


def test_the_rate_follows_set_lr():
    module = conv()
    optimizer = build_optimizer("muon", module, lr=0.1, weight_decay=0.0, bf16=False)
    set_lr(optimizer, 0.0)
    assert step_of(module, optimizer).abs().max() == 0


def test_biases_depthwise_kernels_and_heads_follow_sgd():
    module = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(8, 2))
    model = module.to(memory_format=torch.channels_last)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = [p.detach().clone() for p in model.parameters()]
    build_optimizer("muon", model, lr=0.3, weight_decay=0.0, bf16=False).step()
    for old, new in zip(before, model.parameters(), strict=True):
        # Nesterov's first step is (1 + momentum) times rate times gradient; the rate is a third.
        assert torch.allclose(old - new, torch.full_like(old, 0.1 * 1.9))


def test_a_frozen_parameter_has_no_place_in_the_optimizer():
    module = conv()
    module.weight.requires_grad_(False)
    model = nn.Sequential(module, nn.Linear(2, 2))
    optimizer = build_optimizer("sgd", model, lr=0.1, weight_decay=0.0, bf16=False)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


@pytest.mark.parametrize("bf16", [True, False])
def test_muon_keeps_no_gradient_in_memory(bf16):
    module = conv()
    optimizer = build_optimizer("muon", module, lr=0.1, weight_decay=0.0, bf16=bf16)
    module.weight.grad = torch.ones_like(module.weight)
    gone = weakref.ref(module.weight.grad.untyped_storage())
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    assert gone() is None


def test_muon_refuses_a_model_in_another_memory_format():
    module = nn.Conv2d(4, 6, 3)
    with pytest.raises(ValueError, match="channels_last"):
        MuonWithSgd(list(module.parameters()), lr=0.1, weight_decay=0.0, bf16=False)


def test_state_survives_saving():
    first, second = conv(), conv()
    a = build_optimizer("muon", first, lr=0.1, weight_decay=0.0, bf16=False)
    b = build_optimizer("muon", second, lr=0.1, weight_decay=0.0, bf16=False)
    torch.manual_seed(1)
    step_of(first, a)
    second.load_state_dict(first.state_dict())
    b.load_state_dict(copy.deepcopy(a.state_dict()))  # torch shares the tensors otherwise
    torch.manual_seed(2)
    step_of(first, a)
    torch.manual_seed(2)
    step_of(second, b)
    assert torch.equal(first.weight, second.weight)


@pytest.mark.parametrize("arch", ["compact", "resnet18"])
def test_pretrained_weights_get_a_tenth_of_the_default_rate(arch):
    for name in ("muon", "sgd", "adamw"):
        assert default_lr(name, arch=arch, pretrained=True) == pytest.approx(
            0.1 * default_lr(name, arch=arch, pretrained=False)
        )


@pytest.mark.parametrize("arch", ["vgg11_bn", "vgg16"])
def test_the_default_of_a_vgg_is_the_papers_scaled_to_batches_of_64(arch):
    """Simonyan & Zisserman 2014, section 3.1: 10^-2 with batches of 256."""
    assert default_lr("sgd", arch=arch, pretrained=False) == pytest.approx(1e-2 * 64 / 256)


@pytest.mark.parametrize(("arch", "best"), [("compact", 0.004), ("resnet18", 0.001)])
def test_adamws_default_is_the_best_rate_of_a_grid_of_trainings(arch, best):
    """docs/learning-rate.md: drawn images for `compact`, photographs for resnet18."""
    assert default_lr("adamw", arch=arch, pretrained=False) == best
