"""Muon in fp32, orthogonalising on the small side of a matrix.

torch's Muon multiplies in bf16 whatever the hardware. A CPU without bf16 units emulates them, and a
step of the optimizer then costs many times that of the network (docs/benchmarks.md).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Muon

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024, and torch's default
STEPS = 5
EPS = 1e-7


class GramMuon(Muon):
    """torch's Muon with `orthogonalised` in place of its own iteration."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; parameters without a gradient stay."""
        for group in self.param_groups:
            lr, momentum = float(group["lr"]), group["momentum"]
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix)
                average = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
                update = orthogonalised(matrix.grad.lerp(average, momentum))
                rows, columns = matrix.shape
                matrix.mul_(1 - lr * group["weight_decay"])
                matrix.add_(update, alpha=-lr * math.sqrt(max(1, rows / columns)))


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return U V^T, nearly, of a matrix U S V^T: its singular values become 0.7 to 1.2.

    Each Newton-Schulz step multiplies X by p(X X^T), p(A) = a + b A + c A^2 (Jordan et al. 2024).
    All factors are polynomials of the same Gram matrix and commute, so they are gathered in one
    small square matrix, and the long side is multiplied twice instead of ten times: Gram
    Newton-Schulz (Dao-AILab 2026), which in half precision needs restarts, and in fp32 none.

    Args:
        matrix: (M, N), fp32.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalised(matrix.T).T
    a, b, c = COEFFICIENTS
    matrix = matrix / matrix.norm().clamp(min=EPS)
    gram = matrix @ matrix.T
    product: Tensor | None = None
    for step in range(STEPS):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if step < STEPS - 1:
            gram = factor @ (gram @ factor)
    assert product is not None
    return product @ matrix
