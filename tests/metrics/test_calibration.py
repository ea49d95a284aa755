"""Null calibration: p-values of random maps are uniform, for every metric that has a null of its own."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

import regard as rg

from .additive import GRID, as_map, make, make_linear

ORDERS, REGION = 19, torch.zeros(24, 32, dtype=torch.bool)
REGION[4:14, 6:20] = True
CURVES = ("deletion", "insertion")
PLACED = ("energy_in_mask", "attention_iou", "iou_at_share")
FILLED = (partial(rg.metrics.road, shares=(0.5,), random=ORDERS), "perturbation_axiom")


def ps(metrics: tuple[object, ...], n: int, seed: int, *, linear: bool = False) -> np.ndarray:
    """p-values [n, metrics] of maps of random numbers; one bank a map for curves."""
    model, x, _ = (make_linear if linear else make)(seed)
    g = torch.Generator().manual_seed(seed)
    found = []
    for i in range(n):
        heat = as_map(torch.randn(GRID.patches, generator=g, dtype=torch.float64))
        shared = rg.bank(model, x, heat, orders=ORDERS, steps=6, baseline="mean", seed=i)
        row = []
        for metric in metrics:
            bank = shared if metric in CURVES else None
            got = rg.score(heat, model, x, metric=metric, bank=bank, orders=ORDERS, seed=i, region=REGION)  # type: ignore[arg-type]
            row.append(got.p)
        found.append(row)
    return np.array(found)


def hold(p: np.ndarray, *, coarse: bool = False) -> None:
    """Kolmogorov-Smirnov against the uniform over k / 20; where values tie, only against an excess of small ones."""
    smooth = p - np.random.default_rng(0).uniform(0, 1 / (ORDERS + 1), len(p))  # p is k / 20: spread over its step
    assert stats.kstest(smooth, "uniform", alternative="greater" if coarse else "two-sided").pvalue > 0.005


def test_p_values_of_few_random_maps_are_uniform() -> None:
    """The fast form: 60 maps. A null that is too narrow, say that of half as large a spread, is seen at once."""
    for column in ps(CURVES, 60, 1).T:
        hold(column)
    narrow = stats.norm.rvs(size=200, random_state=0)
    null = 0.5 * stats.norm.rvs(size=(200, ORDERS), random_state=1)
    with pytest.raises(AssertionError):
        hold((1 + (null >= narrow[:, None]).sum(1)) / (ORDERS + 1))


@pytest.mark.slow
@pytest.mark.parametrize(("metrics", "n"), [((*CURVES, *PLACED), 200), (FILLED, 100)], ids=["200 maps", "filled"])
def test_p_values_of_many_random_maps_are_uniform(metrics: tuple[object, ...], n: int) -> None:
    """The mask metrics stand in test_saco. Overlap at a share and the axiom have few values, so that ties count
    against the map: there p is too large at times, never too small."""
    for metric, column in zip(metrics, ps(metrics, n, 2).T, strict=True):
        hold(column, coarse=metric in ("iou_at_share", "perturbation_axiom"))
