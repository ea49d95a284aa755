from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

import regard as rg

from .additive import GRID, as_map, make_linear

BANK = {"baseline": "mean", "rounds": 4, "groups": 4, "each": 8}


def scored(values: torch.Tensor, scaling: str = "positive", seed: int = 0) -> rg.Score:
    model, x, _ = make_linear()
    heat = as_map(values)
    bank = rg.masks(model, x, heat, seed=seed, **BANK)
    return rg.score(heat, model, x, metric=partial(rg.metrics.infidelity, scaling=scaling), bank=bank)


def test_a_linear_scores_own_contributions_have_none() -> None:
    contributions = make_linear()[2]
    assert scored(contributions, "none").value < 1e-20
    assert scored(3 * contributions).value < 1e-20  # the scale is found
    found = scored(3 * contributions, "none")
    assert found.value > 1e-6
    assert scored(contributions).p == pytest.approx(1 / 100)


def test_it_equals_the_mean_square_mask_by_mask() -> None:
    model, x, _ = make_linear()
    values = torch.randn(12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    heat = as_map(values)
    bank = rg.masks(model, x, heat, **BANK)
    whole = float(model(x)[0, 1])
    a, b = [], []
    for keep in bank.keep:
        full = (~keep).view(1, 1, GRID.h, GRID.w).repeat_interleave(8, 2).repeat_interleave(8, 3)
        masked = torch.where(full, x.mean((2, 3), keepdim=True), x)
        a.append(float(values[~keep].sum()))
        b.append(whole - float(model(masked)[0, 1]))
    a, b = np.array(a), np.array(b)
    beta = (a * b).mean() / (a * a).mean()
    for scaling, scale in (("none", 1.0), ("optimal", beta), ("positive", max(0.0, beta))):
        got = rg.score(heat, model, x, metric=partial(rg.metrics.infidelity, scaling=scaling), bank=bank)
        assert got.value == pytest.approx(((scale * a - b) ** 2).mean())
        assert got.se == pytest.approx(((scale * a - b) ** 2).std(ddof=1) / len(a) ** 0.5)


def test_a_map_turned_over_is_worse_unless_asked_otherwise() -> None:
    contributions = make_linear()[2]
    assert scored(-contributions, "optimal").value < 1e-20  # why the default is another
    assert scored(-contributions).value > 1e-6


def test_the_closed_form_is_least() -> None:
    model, x, contributions = make_linear(2)
    heat = as_map(contributions)
    bank = rg.masks(model, x, heat, **BANK)
    best = rg.score(as_map(bank.optimal().flatten()), model, x, metric="infidelity", bank=bank).value
    noise = torch.randn(20, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for one in noise:
        other = as_map(bank.optimal().flatten() + 0.01 * one)
        assert rg.score(other, model, x, metric="infidelity", bank=bank).value >= best
