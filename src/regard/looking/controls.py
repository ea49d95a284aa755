"""Controls: what a map should survive (a mirror), what should destroy it (shuffled weights), what should agree."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

MapOf = Callable[[nn.Module, Tensor], NDArray[np.float32]]  # model, x -> map [h, w]


@dataclass(frozen=True)
class Controls:
    """Rank correlations of a map with: the mirrored picture's map turned back, the map of the same network
    with shuffled weights, and a centred Gaussian; None where one of the two is constant."""

    mirror: float | None
    shuffled: float | None
    centre: float | None


def check(map_of: MapOf, values: NDArray[np.float32], model: nn.Module, twin: nn.Module, x: Tensor) -> Controls:
    """Two more maps: one of the mirrored picture, one of the twin."""
    mirrored = map_of(model, x.flip(-1))[:, ::-1]
    return Controls(
        mirror=rank_correlation(values, mirrored),
        shuffled=rank_correlation(values, map_of(twin, x)),
        centre=rank_correlation(values, centre_gaussian(*values.shape)),
    )


def rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float | None:
    """Spearman's rho over the cells; None where one of the two is constant or not finite, and so has no ranks."""
    if not all(np.isfinite(one).all() and np.ptp(one) > 0 for one in (a, b)):
        return None
    return float(spearmanr(a.ravel(), b.ravel()).statistic)


def centre_gaussian(h: int, w: int) -> NDArray[np.float64]:
    """A Gaussian at the centre with a quarter of each side as its width: where photographers put things."""
    y, x = np.mgrid[:h, :w]
    return np.exp(-0.5 * (((y - (h - 1) / 2) / (h / 4)) ** 2 + ((x - (w - 1) / 2) / (w / 4)) ** 2))


def inside_outside(mask: NDArray[np.bool_], values: NDArray[np.float32]) -> tuple[float, float] | None:
    """Mean of a map over the cells of a mask, and over all others; None if there are no others, or none at all."""
    laid = torch.from_numpy(values)[None, None].float()
    on_mask = torch.nn.functional.interpolate(laid, size=mask.shape, mode="area")[0, 0].numpy()
    if mask.all() or not mask.any():
        return None
    return float(on_mask[mask].mean()), float(on_mask[~mask].mean())


def shuffled_twin(model: nn.Module, seed: int) -> nn.Module:
    """A copy whose weights are permuted within each tensor: the same network and the same numbers, unlearnt."""
    twin = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in twin.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return twin
