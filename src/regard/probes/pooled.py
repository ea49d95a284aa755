"""Pooled attention: the whole matrix at a coarser grain."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from regard.core.call import Rows, Summed
from regard.layout import Grid
from regard.probes._shared import patch_rows
from regard.registry import method


@method(
    "probes",
    paper="dino",
    claim="equals pooling the explicit matrix; rows sum to the share of attention that lands on patches",
    source="appendix: attention of reference patches",
    needs={"rows", "grid"},
    differs="patches in the place of words, neighbouring queries averaged so that every head of a model fits a page",
    unit="share of attention",
)
def pooled(rows: Rows, grid: Grid, total: Summed | None = None, *, query: int = 2, key: int = 1) -> Summed:
    """Attention from cells of `query` x `query` patches to cells of `key` x `key` patches.

    P_gk = mean_{i in g} sum_{j in k} p_ij over patches i, j; cells at the lower and right edge may be
    smaller. Prefix tokens are left out on both sides, so a row sums to the share that lands on
    patches. Gives [B, H, G, K'] with G = ceil(h/query) ceil(w/query) and K' = ceil(h/key) ceil(w/key).
    total: what earlier rows gave; it is added to in place.

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> s = torch.zeros(1, 1, 4, 4)
    >>> rg.probes.pooled(Rows(start=0, logits=s, probs=s.softmax(-1), queries=4), rg.Grid(2, 2), key=2)
    tensor([[[[1.]]]])
    """
    probs, first = patch_rows(rows, grid)
    cell, size = (t.to(probs.device) for t in _cells(grid, query))
    target, count = (t.to(probs.device) for t in _cells(grid, key))
    if total is None:
        total = probs.new_zeros(*probs.shape[:2], len(size), len(count))
    here = cell[first : first + probs.shape[2]]
    if not len(here):
        return total
    low, high = int(here.min()), int(here.max()) + 1  # the cells that this block of rows touches
    some = probs.new_zeros(*probs.shape[:2], high - low, probs.shape[-1]).index_add_(2, here - low, probs)
    some /= size[low:high, None]
    if key > 1:
        some = some.new_zeros(*some.shape[:3], len(count)).index_add_(3, target, some)
    total[:, :, low:high] += some
    return total


@lru_cache(maxsize=8)
def _cells(grid: Grid, size: int) -> tuple[Tensor, Tensor]:
    """The cell of each patch, and how many patches each cell has."""
    cell = grid.cells(size)
    return cell, torch.bincount(cell)
