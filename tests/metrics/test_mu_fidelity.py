from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .additive import as_map, make_linear

BANK = {"baseline": "mean", "rounds": 4, "groups": 4, "each": 8}


def test_it_is_the_correlation_over_subsets_of_the_nearest_size() -> None:
    model, x, contributions = make_linear()
    bank = rg.masks(model, x, as_map(contributions), **BANK)
    values = torch.randn(12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for share, size in ((0.5, 6), (0.8, 9)):
        rows = [i for i, keep in enumerate(bank.keep) if int((~keep).sum()) == size]
        mass = [float(values[~bank.keep[i]].sum()) for i in rows]
        slow = np.corrcoef(mass, bank.drops[rows])[0, 1]
        metric = partial(rg.metrics.mu_fidelity, share=share)
        got = rg.score(as_map(values), model, x, metric=metric, bank=bank)
        assert got.value == pytest.approx(slow)
        assert f"{len(rows)} subsets of {size} of 12 cells" in got.convention


def test_own_contributions_reach_one_and_their_negative_minus_one() -> None:
    model, x, contributions = make_linear()
    bank = rg.masks(model, x, as_map(contributions), **BANK)
    for sign in (1.0, -1.0):
        got = rg.score(as_map(sign * contributions), model, x, metric="mu_fidelity", bank=bank)
        assert got.value == pytest.approx(sign)
        assert got.se == pytest.approx(0, abs=1e-9)


def test_a_share_outside_is_refused() -> None:
    model, x, contributions = make_linear()
    bank = rg.masks(model, x, as_map(contributions), **BANK)
    with pytest.raises(LayoutError, match=r"subsets of 1\.5 of the cells"):
        rg.score(as_map(contributions), model, x, metric=partial(rg.metrics.mu_fidelity, share=1.5), bank=bank)
