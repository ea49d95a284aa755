"""Controls: what a map should survive (a mirror), what should destroy it (shuffled weights), what should agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from regard.subjects.controls import centre_gaussian

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
        centre=rank_correlation(values, centre_gaussian(*values.shape).numpy()),
    )


def rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float | None:
    """Spearman's rho over the cells; None where one of the two is constant or not finite, and so has no ranks."""
    if not all(np.isfinite(one).all() and np.ptp(one) > 0 for one in (a, b)):
        return None
    return float(spearmanr(a.ravel(), b.ravel()).statistic)


def inside_outside(mask: NDArray[np.bool_], values: NDArray[np.float32]) -> tuple[float, float] | None:
    """Mean of a map over the cells of a mask, and over all others; None if there are no others, or none at all."""
    laid = torch.from_numpy(values)[None, None].float()
    on_mask = torch.nn.functional.interpolate(laid, size=mask.shape, mode="area")[0, 0].numpy()
    if mask.all() or not mask.any():
        return None
    return float(on_mask[mask].mean()), float(on_mask[~mask].mean())
