from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .rows_of import blocks, logits, whole

CASES = [(rg.Grid(4, 4), 2, 1), (rg.Grid(3, 5, prefix=1), 2, 2), (rg.Grid(5, 4, prefix=3), 3, 2), (rg.Grid(2, 3), 1, 1)]


def naive(p: torch.Tensor, grid: rg.Grid, query: int, key: int) -> torch.Tensor:
    down = lambda size: -(-grid.h // size)  # noqa: E731
    across = lambda size: -(-grid.w // size)  # noqa: E731
    total = p.new_zeros(*p.shape[:2], down(query) * across(query), down(key) * across(key))
    count = p.new_zeros(total.shape[2])
    for i in range(grid.patches):
        g = i // grid.w // query * across(query) + i % grid.w // query
        count[g] += 1
        for j in range(grid.patches):
            k = j // grid.w // key * across(key) + j % grid.w // key
            total[:, :, g, k] += p[:, :, i + grid.prefix, j + grid.prefix]
    return total / count[:, None]


@pytest.mark.parametrize(("grid", "query", "key"), CASES)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_equals_pooling_the_matrix(grid: rg.Grid, query: int, key: int, size: int) -> None:
    s = logits(2, 2, grid.tokens, grid.tokens)
    got = None
    for rows in blocks(s, size):
        got = rg.probes.pooled(rows, grid, got, query=query, key=key)
    torch.testing.assert_close(got, naive(s.softmax(-1), grid, query, key))
    apart = sum(rg.probes.pooled(rows, grid, query=query, key=key) for rows in blocks(s, size))
    torch.testing.assert_close(apart, got)


def test_rows_sum_to_the_share_on_patches() -> None:
    grid = rg.Grid(4, 4, prefix=1)
    s = logits(1, 1, 17, 17)
    on_patches = s.softmax(-1)[:, :, 1:, 1:].sum(-1)
    got = rg.probes.pooled(whole(s), grid, query=4).sum(-1)
    torch.testing.assert_close(got[0, 0, 0], on_patches.mean())


def test_another_grid_is_refused() -> None:
    with pytest.raises(LayoutError, match="the attention row has 9 tokens"):
        rg.probes.pooled(whole(logits(1, 1, 9, 9)), rg.Grid(2, 2))
