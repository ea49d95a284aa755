from __future__ import annotations

import math

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .rows_of import blocks, logits, whole


@pytest.mark.parametrize("grid", [rg.Grid(2, 3), rg.Grid(3, 2, prefix=1), rg.Grid(1, 4, prefix=5)])
def test_equals_the_definition(grid: rg.Grid) -> None:
    s = logits(2, 2, grid.tokens, grid.tokens)
    p = s.softmax(-1)
    got = rg.probes.distance(whole(s), grid)
    for q in range(grid.tokens):
        if q < grid.prefix:
            assert torch.isnan(got[:, :, q]).all()
            continue
        y, x = divmod(q - grid.prefix, grid.w)
        top, mass = 0.0, 0.0
        for k in range(grid.patches):
            to = math.hypot(y - k // grid.w, x - k % grid.w)
            top = top + p[:, :, q, k + grid.prefix] * to
            mass = mass + p[:, :, q, k + grid.prefix]
        torch.testing.assert_close(got[:, :, q], top / mass)


def test_uniform_attention_looks_as_far_as_the_grid_is_wide() -> None:
    grid = rg.Grid(5, 7, prefix=1)
    got = rg.probes.distance(whole(torch.zeros(1, 1, grid.tokens, grid.tokens)), grid)
    assert float(got[..., 1:].mean()) == pytest.approx(grid.uniform_distance(), rel=1e-5)


def test_attention_to_oneself_is_at_distance_zero() -> None:
    grid = rg.Grid(3, 3)
    s = torch.full((1, 1, 9, 9), -1e4).diagonal_scatter(torch.zeros(1, 1, 9), dim1=2, dim2=3)
    assert torch.equal(rg.probes.distance(whole(s), grid), torch.zeros(1, 1, 9))


def test_a_fixed_step_to_the_right_is_one_patch() -> None:
    grid = rg.Grid(2, 4)
    s = torch.full((1, 1, 8, 8), -1e4)
    for q in range(8):
        s[0, 0, q, min(q + 1, 7)] = 0.0
    got = rg.probes.distance(whole(s), grid)[0, 0]
    assert got[[0, 1, 2, 4, 5, 6]].tolist() == [1.0] * 6
    assert got[3].item() == pytest.approx(math.hypot(1, 3))  # the next token starts the next row


def test_a_query_that_looks_at_the_prefix_only_lies_nowhere() -> None:
    grid = rg.Grid(1, 2, prefix=1)
    s = torch.full((1, 1, 3, 3), -float("inf"))
    s[..., 0] = 0.0
    assert torch.isnan(rg.probes.distance(whole(s), grid)).all()


def test_blocks_are_the_whole_in_pieces() -> None:
    grid = rg.Grid(3, 3, prefix=1)
    s = logits(1, 2, 10, 10)
    pieces = torch.cat([rg.probes.distance(rows, grid) for rows in blocks(s, 4)], dim=2)
    torch.testing.assert_close(pieces, rg.probes.distance(whole(s), grid), equal_nan=True)


def test_another_grid_is_refused() -> None:
    with pytest.raises(LayoutError, match="has 10 tokens, but grid 2x3 has 6"):
        rg.probes.distance(whole(logits(1, 1, 10, 10)), rg.Grid(2, 3))
