from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError, LayoutError

from .rows_of import blocks, logits, shifted, watched, whole

CASES = [(rg.Grid(4, 4), 2), (rg.Grid(3, 5, prefix=1), 2), (rg.Grid(5, 4, prefix=3), 1), (rg.Grid(1, 6), 0)]


def naive(p: torch.Tensor, grid: rg.Grid, radius: int) -> torch.Tensor:
    """Every pair of patches into its displacement, in plain loops."""
    side = 2 * radius + 1
    total, pairs = p.new_zeros(*p.shape[:2], side, side), p.new_zeros(side, side)
    for i in range(grid.patches):
        for j in range(grid.patches):
            dy, dx = j // grid.w - i // grid.w + radius, j % grid.w - i % grid.w + radius
            if 0 <= dy < side and 0 <= dx < side:
                total[:, :, dy, dx] += p[:, :, grid.prefix + i, grid.prefix + j]
                pairs[dy, dx] += 1
    return total / pairs


@pytest.mark.parametrize(("grid", "radius"), CASES)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_blocks_sum_to_the_definition(grid: rg.Grid, radius: int, size: int) -> None:
    s = logits(2, 2, grid.tokens, grid.tokens)
    got = sum(rg.probes.offset_profile(rows, grid, radius=radius) for rows in blocks(s, size))
    torch.testing.assert_close(got, naive(s.softmax(-1), grid, radius))


def test_uniform_attention_is_the_same_everywhere() -> None:
    grid = rg.Grid(4, 5, prefix=2)
    got = rg.probes.offset_profile(whole(torch.zeros(1, 1, 22, 22)), grid)
    torch.testing.assert_close(got, torch.full((1, 1, 5, 5), 1 / 22))


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (0, 1), (-1, 0), (1, -1), (2, -2)])
def test_a_head_of_fixed_offset_has_all_its_attention_there(dy: int, dx: int) -> None:
    grid = rg.Grid(4, 5, prefix=1)
    got = rg.probes.offset_profile(whole(shifted(grid, dy, dx).log()[None, None]), grid)[0, 0]
    assert float(got[dy + 2, dx + 2]) == 1.0
    got[dy + 2, dx + 2] = 0.0
    assert float(got.max()) < 0.1  # of the few that look off the grid, and so everywhere


@pytest.mark.parametrize("radius", [2, -1])
def test_a_radius_that_leads_off_the_grid(radius: int) -> None:
    with pytest.raises(CallError, match=f"no pair of patches is {radius} apart both ways on grid 2x5"):
        rg.probes.offset_profile(whole(logits(1, 1, 10, 10)), rg.Grid(2, 5), radius=radius)


def test_another_grid_is_refused() -> None:
    with pytest.raises(LayoutError, match="the attention row has 10 tokens"):
        rg.probes.offset_profile(whole(logits(1, 1, 10, 10)), rg.Grid(3, 3))


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    got, probs, grid = watched(dinov2, functools.partial(rg.probes.offset_profile, radius=3))
    torch.testing.assert_close(got.double(), naive(probs, grid, 3), rtol=1e-4, atol=1e-7)
