"""Muon in fp32: the iteration of Jordan et al. in another order, in torch's optimizer."""

import pytest
import torch
from torch import nn
from torch.optim import Muon

from pipeline.modeling.gram_muon import GramMuon, orthogonalised


def quintic(value):
    """Jordan et al. 2024: what five steps make of a singular value, one number at a time."""
    for _ in range(5):
        value = 3.4445 * value - 4.7750 * value**3 + 2.0315 * value**5
    return value


def with_singular_values(values, shape, seed=0):
    torch.manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(shape, dtype=torch.float64), full_matrices=False)
    values = torch.tensor(values, dtype=torch.float64)
    return u, values / values.norm(), v


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (4, 4), (4, 400)])
@pytest.mark.parametrize(
    "values", [(4.0, 3.0, 2.0, 1.0), (1.0, 1.0, 1.0, 1.0), (1.0, 1e-2, 1e-4, 1e-8), (1.0, 0, 0, 0)]
)
def test_each_singular_value_becomes_what_the_polynomial_makes_of_it(shape, values):
    u, scaled, v = with_singular_values(values, shape)
    found = orthogonalised((u @ torch.diag(scaled) @ v).float())
    expected = u @ torch.diag(quintic(scaled)) @ v
    assert torch.allclose(found.double(), expected, atol=5e-4)


def test_a_matrix_of_zeros_stays():
    assert torch.equal(orthogonalised(torch.zeros(3, 5)), torch.zeros(3, 5))


def test_steps_are_torchs_to_within_the_rounding_of_bf16():
    torch.manual_seed(0)
    start = torch.randn(24, 100)
    theirs, ours = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    options = {"lr": 0.1, "weight_decay": 0.02, "momentum": 0.95}
    optimizers = [Muon([theirs], **options), GramMuon([ours], **options)]
    for _ in range(4):
        theirs.grad = torch.randn_like(start)
        ours.grad = theirs.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    # Four steps of length 0.1, each rounded to 8 bits; a wrong sign or momentum would be 0.1 off.
    assert (theirs - ours).abs().max() < 4 * 0.1 * 2**-8 * 5
    assert (theirs - start).abs().max() > 0.05


def test_a_state_of_torchs_can_be_gone_on_with():
    parameter = nn.Parameter(torch.ones(2, 3))
    parameter.grad = torch.ones(2, 3)
    theirs = Muon([parameter], lr=0.1)
    theirs.step()
    ours = GramMuon([parameter], lr=0.1)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours.state[parameter]["momentum_buffer"], torch.full((2, 3), 0.05))


def test_a_parameter_without_a_gradient_stays():
    parameter = nn.Parameter(torch.ones(2, 3))
    GramMuon([parameter], lr=0.1).step()
    assert torch.equal(parameter, torch.ones(2, 3))
