"""ppma works: the mask by cumulative sums is the product along each path."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

import regard as rg
from regard.operators.polyline import path_mask
from regard.testing.marks import works

from .arithmetic import dense, drawn, gap

polyline = rg.operators.polyline


def naive(decay: Tensor, grid: rg.Grid) -> Tensor:
    """Every pair's path walked patch by patch: along the row of i, then down or up the column of j."""
    n = grid.patches
    mask = torch.ones(*decay.shape[:2], n, n, dtype=decay.dtype)
    for i in range(n):
        for j in range(n):
            (y, x), (ty, tx) = divmod(i, grid.w), divmod(j, grid.w)
            for at in range(min(x, tx) + 1, max(x, tx) + 1):
                mask[:, :, i, j] *= decay[:, :, y * grid.w + at, 0]
            for at in range(min(y, ty) + 1, max(y, ty) + 1):
                mask[:, :, i, j] *= decay[:, :, at * grid.w + tx, 1]
    return mask


@works("ppma")
def test_the_efficient_mask_equals_the_naive_one() -> None:
    """Input-dependent decays of all sizes, square and oblong grids, to 1e-10; and attention under it."""
    for h, w in ((1, 7), (7, 1), (4, 4), (3, 6)):
        grid, decay = rg.Grid(h, w), torch.sigmoid(2 * drawn(2, 2, h * w, 2))
        mask = naive(decay, grid)
        assert gap(path_mask(decay, grid).exp(), mask) < 1e-10
        q, k, v = (drawn(2, 2, h * w, 4, seed=i) for i in range(3))
        parts = [(q @ k.mT / 2).exp() * m for m in (mask, mask.mT)]
        attended = sum(p / p.sum(-1, keepdim=True) for p in parts) / 2 @ v
        assert gap(polyline(q, k, v, grid, decay), attended) < 1e-10


@works("ppma")
def test_decays_of_one_reproduce_plain_attention() -> None:
    q, k, v = (drawn(2, 2, 20, 4, seed=i) for i in range(3))
    assert gap(polyline(q, k, v, rg.Grid(4, 5), torch.ones(2, 2, 20, 2).double()), dense(q, k, v)) < 1e-12


@works("ppma")
def test_constant_decays_fall_with_the_distance_on_the_grid() -> None:
    """0.8 along rows and 0.6 along columns: each step further lowers the entry, by its own factor."""
    grid = rg.Grid(4, 5)
    mask = path_mask(torch.tensor([0.8, 0.6], dtype=torch.float64).expand(1, 1, 20, 2), grid).exp()[0, 0]
    steps = (grid.centres()[:, None] - grid.centres()).abs().double()
    assert gap(mask, 0.8 ** steps[..., 0] * 0.6 ** steps[..., 1]) < 1e-12
    even = path_mask(torch.full((1, 1, 20, 2), 0.7).double(), grid).exp()[0, 0]
    by_distance = [even[steps.sum(-1) == d] for d in range(8)]
    assert all(float(near.min()) > float(far.max()) for near, far in itertools.pairwise(by_distance))
