"""Shapley sampling: what each cell adds when cells come in random orders."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.registry import method
from regard.subjects.cells import grid_cells
from regard.subjects.paths import completeness_gap
from regard.subjects.removal import Baseline, Removal
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="shapley-sampling",
    claim="exact for additive scores in one order; unbiased; each order's shares sum to the whole less the empty score",
    source="algorithm 1: estimating the Shapley value by sampling permutations",
    needs={"score"},
    differs="each order is followed by its reverse",
    unit="logit",
)
def shapley_sampling(
    x: Tensor, score: Scorer, generator: torch.Generator, *, cells: int = 7, orders: int = 20,
    baseline: Baseline = "blur",
) -> MapValues:  # fmt: skip
    """Mean of y(S + i) - y(S) over random orders of the cells, S being those before i.

    orders: random orders, every second one the reverse of the one before. Costs orders x (cells of the grid - 1) + 1
    forwards. Gives `[B, h, w]` on the grid of cells; `Map.se` is the standard error over pairs of orders.

    Raises LayoutError for less than one pair of orders. Source: Castro, Gomez and Tejada 2009, "Polynomial calculation
    of the Shapley value based on sampling"; reversed pairs: Mitchell et al. 2022.

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_vit")
    >>> few = partial(rg.explainers.shapley_sampling, cells=2, orders=4)
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method=few, target=7).forwards
    22
    """
    pieces = grid_cells(x, cells)
    m, pairs = pieces.count, orders // 2
    if pairs < 1 or orders % 2:
        raise LayoutError(f"{orders} orders", hint="an even number: each is followed by its reverse")
    removal = Removal(score, pieces, baseline, generator)
    ranks = torch.rand(pairs, m, generator=generator, dtype=torch.float64).argsort(1).argsort(1)
    ranks = torch.stack([ranks, m - 1 - ranks], 1).flatten(0, 1)
    keep = ranks[:, None] < torch.arange(1, m)[:, None]  # the first s cells of each order, s = 1 .. m - 1
    scores = removal(torch.cat([torch.zeros(1, m, dtype=torch.bool), keep.flatten(0, 1)]))
    empty, whole = scores[0], removal.whole.cpu()
    ends = torch.ones(orders, 1, 1, dtype=torch.float64)
    steps = torch.cat([empty * ends, scores[1:].view(orders, m - 1, -1), whole * ends], 1).diff(dim=1)
    added = steps.gather(1, ranks[:, :, None].expand(-1, -1, len(x)))
    by_pair = added.view(pairs, 2, m, -1).mean(1)
    values = by_pair.mean(0).T.contiguous()
    error = (by_pair.var(0).T / pairs).sqrt() if pairs > 1 else None
    return MapValues(
        pieces.to_map(values.to(x.device)), pieces.on, gap=completeness_gap(values, whole - empty),
        se=None if error is None else pieces.to_map(error.contiguous().to(x.device)),
    )  # fmt: skip
