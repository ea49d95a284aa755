from __future__ import annotations

import numpy as np
import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .additive import as_map, make_linear

BANK = {"baseline": "mean", "rounds": 4, "groups": 4, "each": 8}


def test_it_is_the_mean_correlation_over_sizes() -> None:
    model, x, contributions = make_linear()
    bank = rg.masks(model, x, as_map(contributions), **BANK)
    values = torch.randn(12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    got = rg.score(as_map(values), model, x, metric="sensitivity_n", bank=bank)
    slow = []
    for size in (3, 6, 9):  # groups of 12 / 4 cells and quarters are of one size
        rows = [i for i, keep in enumerate(bank.keep) if int((~keep).sum()) == size]
        mass = [float(values[~bank.keep[i]].sum()) for i in rows]
        slow.append(np.corrcoef(mass, bank.drops[rows])[0, 1])
    np.testing.assert_allclose(got.curve, [[0.25, 0.5, 0.75], slow])
    assert got.value == pytest.approx(np.mean(slow))
    assert got.null_curves.shape == (99, 3)
    np.testing.assert_allclose(got.null, got.null_curves.mean(1))


def test_own_contributions_reach_one_at_every_size() -> None:
    model, x, contributions = make_linear()
    got = rg.score(as_map(contributions), model, x, metric="sensitivity_n", baseline="mean")
    np.testing.assert_allclose(got.curve[1], 1)
    assert got.p == pytest.approx(0.01)


def test_a_bank_with_few_masks_of_a_size_is_refused() -> None:
    model, x, contributions = make_linear()
    bank = rg.masks(model, x, as_map(contributions), rounds=2, groups=3, each=4)
    with pytest.raises(LayoutError, match="under 8 of every size"):
        rg.score(as_map(contributions), model, x, metric="sensitivity_n", bank=bank)
