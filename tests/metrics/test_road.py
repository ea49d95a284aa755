from __future__ import annotations

from functools import partial
from itertools import permutations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.errors import LayoutError
from regard.metrics._linear_infill import linear_infill

SHARES = (0.25, 0.5)
GRID = rg.Grid(2, 2)


class Cells(nn.Module):
    """p(class 1) is 0.1 and a weighted sum of the cells' mean brightness."""

    weights = torch.tensor([0.05, 0.3, 0.1, 0.2], dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p = 0.1 + F.adaptive_avg_pool2d(x[:, :1], (2, 2)).flatten(1) @ self.weights
        return torch.stack([1 - p, p], 1).log()


def as_map(values: torch.Tensor) -> rg.Map:
    return rg.Map(values.view(1, 2, 2).double().numpy(), GRID, "given", target_index=(1,))


X = torch.rand(1, 3, 8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PLAIN = partial(rg.metrics.road, shares=SHARES, noise=0.0, random=0)


def by_hand(values: torch.Tensor) -> float:
    """Cell by cell: the mean over shares of (p without the lowest - p without the highest) / 2."""
    total = 0.0
    for share in SHARES:
        for sign in (1, -1):
            keep = torch.ones(4, dtype=torch.bool)
            keep[(-sign * values).argsort()[: round(4 * share)]] = False
            full = keep.view(1, 2, 2).repeat_interleave(4, 1).repeat_interleave(3, 2)
            p = float(Cells()(linear_infill(X, full))[0, 1].exp())
            total -= sign * p / 2 / len(SHARES)
    return total


def test_it_is_the_difference_of_both_orders_and_the_best_order_is_the_models_own() -> None:
    found = {}
    for order in permutations(range(4)):
        values = torch.tensor(order, dtype=torch.float64)
        found[order] = rg.score(as_map(values), Cells(), X, metric=PLAIN).value
        assert found[order] == pytest.approx(by_hand(values), abs=1e-6)
    best = torch.tensor(max(found, key=lambda o: found[o]))
    worst = rg.score(as_map(-best), Cells(), X, metric=PLAIN).value
    assert worst == pytest.approx(-max(found.values()), abs=1e-9)


def test_noise_is_the_same_for_every_mask_and_is_drawn_from_the_seed() -> None:
    heat = as_map(torch.arange(4))
    noisy = partial(rg.metrics.road, shares=SHARES, noise=0.2, random=2)
    one, same, other = (rg.score(heat, Cells(), X, metric=noisy, seed=s) for s in (0, 0, 1))
    assert one.value == same.value != other.value
    assert one.n == 2
    assert "noise 0.2" in one.convention
    assert one.forwards == 1 + 3 * 2 * 2


@pytest.mark.parametrize("shares", [(), (0.0, 0.5), (0.01,), (1.0,)])
def test_shares_that_take_nothing_or_everything_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(LayoutError, match=r"shares .* of 4 cells"):
        rg.score(as_map(torch.arange(4)), Cells(), X, metric=partial(rg.metrics.road, shares=shares))
