from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError, LayoutError

from .rows_of import blocks, logits, shifted, watched, whole

CASES = [
    (rg.Grid(4, 4), 1.0, None),
    (rg.Grid(3, 5, prefix=1), 1.5, None),
    (rg.Grid(5, 4, prefix=3), 0.7, 4),
    (rg.Grid(1, 6), 2.0, 9),
    (rg.Grid(1, 1, prefix=2), 1.0, None),
]


def naive(p: torch.Tensor, grid: rg.Grid, width: float, count: int | None) -> torch.Tensor:
    """Every pair of patches into its ring, in plain loops."""
    count = count or int(math.hypot(grid.h - 1, grid.w - 1) / width) + 1
    out = p.new_zeros(*p.shape[:2], count)
    p = p[:, :, grid.prefix :, grid.prefix :]
    for i in range(grid.patches):
        on_patches = p[:, :, i].sum(-1)
        for j in range(grid.patches):
            apart = math.hypot(i // grid.w - j // grid.w, i % grid.w - j % grid.w)
            out[:, :, min(int(apart / width), count - 1)] += p[:, :, i, j] / on_patches / grid.patches
    return out


@pytest.mark.parametrize(("grid", "width", "count"), CASES)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_blocks_sum_to_the_definition(grid: rg.Grid, width: float, count: int | None, size: int) -> None:
    s = logits(2, 2, grid.tokens, grid.tokens)
    got = sum(rg.probes.rings(rows, grid, width=width, count=count) for rows in blocks(s, size))
    torch.testing.assert_close(got, naive(s.softmax(-1), grid, width, count))
    torch.testing.assert_close(got.sum(-1), torch.ones(2, 2, dtype=torch.float64))


def test_uniform_attention_gives_each_ring_its_share_of_the_pairs() -> None:
    grid = rg.Grid(3, 3, prefix=1)
    got = rg.probes.rings(whole(torch.zeros(1, 1, 10, 10, dtype=torch.float64)), grid)
    # 9 pairs with oneself; 24 neighbours and 16 diagonal ones; 12 two away, 16 of a knight's move, 4 corner to corner
    torch.testing.assert_close(got, torch.tensor([[[9, 24 + 16, 12 + 16 + 4]]], dtype=torch.float64) / 81)


def test_a_head_of_fixed_offset_fills_one_ring() -> None:
    grid = rg.Grid(5, 3)
    rows = whole(shifted(grid, 2, 0).log()[None, None])
    got = rg.probes.rings(rows, grid)[0, 0]
    assert float(got[2]) > 3 / 5  # three rows of five have a row two down; the others look everywhere alike
    assert float(got.sum()) == pytest.approx(1.0)
    turned = rg.probes.rings(rows, rg.Grid(3, 5))[0, 0]  # the planted fault: six tokens on are then a diagonal step
    assert float(turned[1]) > float(turned[2])


def test_patches_that_look_at_none_are_missing_from_the_profile() -> None:
    grid = rg.Grid(1, 2, prefix=1)
    s = torch.zeros(1, 1, 3, 3)
    s[:, :, 2, 1:] = -float("inf")
    torch.testing.assert_close(rg.probes.rings(whole(s), grid), torch.tensor([[[0.25, 0.25]]]))


def test_the_last_ring_holds_what_lies_beyond() -> None:
    grid = rg.Grid(4, 6)
    rows = whole(logits(1, 2, 24, 24))
    some, every = rg.probes.rings(rows, grid, count=3), rg.probes.rings(rows, grid)
    torch.testing.assert_close(some[..., :2], every[..., :2])
    torch.testing.assert_close(some[..., 2], every[..., 2:].sum(-1))


@pytest.mark.parametrize("option", [{"width": 0.0}, {"width": -1.0}, {"count": 0}, {"count": -2}])
def test_rings_that_cannot_be(option: dict[str, float]) -> None:
    with pytest.raises(CallError, match=r"rings .* patches wide"):
        rg.probes.rings(whole(logits(1, 1, 4, 4)), rg.Grid(2, 2), **option)  # type: ignore[arg-type]


def test_another_grid_is_refused() -> None:
    with pytest.raises(LayoutError, match="the attention row has 9 tokens"):
        rg.probes.rings(whole(logits(1, 1, 9, 9)), rg.Grid(2, 2))


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    got, probs, grid = watched(dinov2, functools.partial(rg.probes.rings, width=2.0))
    torch.testing.assert_close(got.double(), naive(probs, grid, 2.0, None), rtol=1e-4, atol=1e-6)
