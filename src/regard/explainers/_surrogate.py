"""A linear surrogate of masked scores: each cell's main effect, with its standard error."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.errors import LayoutError

PENALTIES = torch.logspace(-4, 4, 33, dtype=torch.float64)


def main_effects(
    keep: Bool[Tensor, "n cells"], scores: Float[Tensor, "n b"]
) -> tuple[Float[Tensor, "b cells"], Float[Tensor, "b cells"]]:
    """Least squares of scores on the cells that stay, for masks each of which is followed by its complement.

    Half the difference of such two scores is free of everything in which an even number of cells act together, so the
    fit is made to that: d = sum_i b_i (z_i - 1/2). With few masks a ridge is added whose size cross-validation
    finds. The standard error is that of the fit's residual, and under a ridge does not hold its bias.
    """
    n, cells = len(keep) // 2, keep.shape[1]
    if n < 2 or not torch.equal(keep[0::2], ~keep[1::2]):
        raise LayoutError(f"{len(keep)} masks", hint="at least 4, each followed by its complement")
    left, size, right = torch.linalg.svd(keep[0::2].double() - 0.5, full_matrices=False)
    odd = (scores[0::2].double() - scores[1::2].double()) / 2
    projected = left.T @ odd
    outside = (odd - left @ projected).square().sum(0)
    full = n >= cells and float(size[-1]) > 1e-6 * float(size[0])
    values, errors = [], []
    for one, rest in zip(projected.T, outside, strict=True):
        penalty = torch.zeros((), dtype=torch.float64) if full else _penalty(size, one, rest, n)
        kept = size.square() / (size.square() + penalty)
        values.append(right.T @ (kept / size.clamp_min(1e-12) * one))
        residual = rest + ((1 - kept) * one).square().sum()
        variance = residual / max(1.0, n - float(kept.sum()))
        spread = (right.T.square() * (kept / size.clamp_min(1e-12)).square()).sum(1)
        errors.append((variance * spread).sqrt())
    return torch.stack(values), torch.stack(errors)


def _penalty(size: Tensor, projected: Tensor, outside: Tensor, n: int) -> Tensor:
    """The penalty with the smallest generalised cross-validation error."""
    scale = size.square().mean()
    kept = size.square() / (size.square() + PENALTIES[:, None] * scale)
    residual = outside + ((1 - kept) * projected).square().sum(1)
    error = residual / (n - kept.sum(1)).clamp_min(1e-3).square()
    return PENALTIES[error.argmin()] * scale
