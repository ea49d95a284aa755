"""GBVS: a random walk that is drawn to what differs, then to where it is already; both in closed form."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from regard.gaze.predictors._pyramid import colours, oriented, pyramid, sized
from regard.gaze.predictors._shared import Pictures, as_map, blur, check_pictures, shrunk
from regard.registry import method
from regard.subjects.values import MapValues


@method(
    "gaze.predictors",
    paper="gbvs",
    claim="the closed form equals the chains' stationary vectors by eigenvectors; a flat feature gives a flat walk",
    source="Harel, Koch and Perona 2006",
    needs={"x"},
    differs="both chains are reversible, so their stationary vectors are written down, where the paper iterates",
    unit="probability",
)
def gbvs(
    x: Pictures,
    *,
    width: int = 32,
    near: float = 0.15,
    gather: float = 0.06,
    smooth: float = 0.02,
    differ: Literal["absolute", "log"] = "absolute",
) -> MapValues:
    """Sum over features of the stationary vector of two Markov chains on a map of `width` cells.

    Activation: w_ij = d(M_i, M_j) F_ij, F = exp(-|i - j|^2 / 2 s^2), s = near (h + w) / 2, d = |a - b| or |log a / b|.
    w is symmetric, so the chain is reversible and rests at A_i ~ sum_j w_ij. Concentration: w_ij = A_j F'_ij with
    s' = gather (h + w) / 2 rests at A_i sum_j F'_ij A_j. Features: intensity, two colour opponents and four
    orientations at 1/4, 1/8 and 1/16 of 640 pixels. The sum is blurred by `smooth` of the width.

    x [B, 3, H, W] in 0..1; gives [B, h, w] that sums to 1. Raises ImageError for other pictures.

    >>> import torch
    >>> round(float(gbvs(torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))).values.sum()), 4)
    1.0
    """
    check_pictures(x)
    big = shrunk(x, 640, enlarge=True)
    scale = width / max(big.shape[-2:])
    size = (max(2, round(big.shape[-2] * scale)), max(2, round(big.shape[-1] * scale)))
    bright, opponent = colours(big)
    levels = pyramid(torch.cat([bright, opponent], 1), 4)[2:]
    channels = [
        torch.cat([sized(one[:, :1], size) for one in levels], 1),
        torch.cat([sized(one[:, 1:], size) for one in levels], 1),
        torch.cat([sized(oriented(one[:, :1]), size) for one in levels], 1),
    ]
    close, tight = (_nearness(size, share * sum(size) / 2, x) for share in (near, gather))
    total = torch.zeros(len(x), *size, dtype=x.dtype, device=x.device)
    for maps in channels:
        active = activation(maps.flatten(2), close, differ)
        total = total + concentration(active, tight).mean(1).unflatten(1, size)
    smoothed = blur(total, smooth * size[1])
    return as_map(smoothed / smoothed.sum((1, 2), keepdim=True))


def activation(
    maps: Float[Tensor, "b c n"], close: Float[Tensor, "n n"], differ: Literal["absolute", "log"] = "absolute"
) -> Float[Tensor, "b c n"]:
    """Where the first chain rests; a flat map gives a flat rest."""
    low = maps.amin(-1, keepdim=True)
    unit = (maps - low) / (maps.amax(-1, keepdim=True) - low).clamp_min(1e-12)
    seen = (unit + 1e-2).log() if differ == "log" else unit
    rows = [(one[:, None] - one).abs_().mul_(close).sum(-1) for one in seen.flatten(0, 1)]  # one n x n at a time
    weight = torch.stack(rows).view_as(seen)
    total = weight.sum(-1, keepdim=True)
    return torch.where(total > 1e-9, weight / total.clamp_min(1e-9), torch.full_like(weight, 1 / maps.shape[-1]))


def concentration(active: Float[Tensor, "b c n"], tight: Float[Tensor, "n n"]) -> Float[Tensor, "b c n"]:
    """Where the second chain rests."""
    rest = active * (active @ tight)
    return rest / rest.sum(-1, keepdim=True)


def _nearness(size: tuple[int, int], sigma: float, like: Tensor) -> Float[Tensor, "n n"]:
    places = torch.cartesian_prod(*(torch.arange(side, dtype=like.dtype, device=like.device) for side in size))
    gap = places[:, None] - places
    return torch.exp(-gap.square().sum(-1) / (2 * sigma**2))
