"""Linear in-fill: pixels that are gone become what their neighbours say, all of them at once (Rong et al. 2022)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError

SIDE, CORNER = 1 / 6, 1 / 12  # weights of the eight neighbours; they sum to 1
MOST = 2000  # steps; a hole of half of a picture takes about 60


def linear_infill(
    x: Float[Tensor, "1 c H W"], keep: Bool[Tensor, "n H W"], *, tolerance: float = 1e-5
) -> Float[Tensor, "n c H W"]:
    """x with each pixel that is not kept equal to the weighted mean of its neighbours, kept or not.

    Solves sum_j w_ij (u_i - u_j) = 0 for all gone i, w = 1/6 to the four sides and 1/12 to the four corners, what lies
    outside of the picture left out. The system is symmetric and positive: conjugate gradients, all masks and channels
    side by side, from a pyramid of means, until each residual is under `tolerance` times the picture's spread.
    Raises LayoutError where a mask keeps nothing: there is nothing to fill from.
    """
    if not keep.flatten(1).any(1).all():
        raise LayoutError("a mask that keeps no pixel", hint="at least one pixel to fill from")
    stays = keep[:, None]
    gone = (~stays).to(x)
    known = torch.where(stays, x, 0.0)
    weight = _neighbours(torch.ones_like(x[:, :1]))
    u = gone * _pyramid(known, stays.to(x))
    left = gone * (_neighbours(known) + _neighbours(u) - weight * u)
    step, size = left, left.square().sum((2, 3), keepdim=True)
    enough = (tolerance * float(x.std())) ** 2 * gone.sum((2, 3), keepdim=True).clamp_min(1) * SIDE**2
    for _ in range(MOST):
        if bool((size <= enough).all()):
            break
        turned = gone * (weight * step - _neighbours(step))
        rate = size / (step * turned).sum((2, 3), keepdim=True).clamp_min(1e-300 if x.dtype == torch.float64 else 1e-30)
        u, left = u + rate * step, left - rate * turned
        before, size = size, left.square().sum((2, 3), keepdim=True)
        step = left + size / before.clamp_min(1e-30) * step
    return torch.where(stays, x, u)


def _neighbours(u: Float[Tensor, "n c H W"]) -> Float[Tensor, "n c H W"]:
    """Weighted sum of the eight neighbours: [1 2 1] across and down, less the middle."""
    rows = F.pad(u, (1, 1, 0, 0))
    rows = rows[..., :-2] + rows[..., 2:] + 2 * u
    both = F.pad(rows, (0, 0, 1, 1))
    return (both[..., :-2, :] + both[..., 2:, :] + 2 * rows - 4 * u) * CORNER


def _pyramid(known: Float[Tensor, "n c H W"], weight: Float[Tensor, "n 1 H W"]) -> Float[Tensor, "n c H W"]:
    """A first guess: holes take the mean of what is known around them, from the finest level that knows any."""
    if bool((weight > 0).all()) or max(known.shape[2:]) == 1:
        return known / weight.clamp_min(1e-30)
    mean = known / weight.clamp_min(1e-30)
    coarse = _pyramid(*(F.avg_pool2d(one, 2, ceil_mode=True) for one in (known, weight)))
    up = F.interpolate(coarse, size=known.shape[2:], mode="bilinear", align_corners=False)
    return torch.where(weight > 0, mean, up)
