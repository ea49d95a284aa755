"""What two metrics of masks share: how a map's mass in a mask goes with what the score loses there."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def correlations(a: Float[Tensor, "m n"], b: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
    """Pearson's correlation of each column of a with b; 0 where one of them does not vary, which says nothing."""
    a, b = a - a.mean(0), b - b.mean()
    size = (a.square().sum(0) * b.square().sum()).sqrt()
    flat = size <= 1e-12 * max(1.0, float(a.abs().max()) * float(b.abs().max()))
    return torch.where(flat, 0.0, (a * b[:, None]).sum(0) / size.clamp_min(1e-300))


def correlation_error(r: Float[Tensor, ""], n: int) -> Float[Tensor, ""]:
    """Standard error of a correlation over n draws, to first order."""
    return (1 - r**2) / max(1, n - 1) ** 0.5
