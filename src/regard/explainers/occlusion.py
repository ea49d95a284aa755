"""Occlusion: what is lost when one cell is gone."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.registry import method
from regard.subjects.cells import grid_cells
from regard.subjects.removal import Baseline, Removal
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="occlusion",
    claim="the sum of w (x - b) over each cell of a linear score",
    source="section 4.2: occlusion sensitivity",
    needs={"score"},
    differs="cells side by side instead of a sliding square; the loss is told, not what is left",
    unit="logit",
)
def occlusion(
    x: Tensor, score: Scorer, generator: torch.Generator, *, cells: int = 14, baseline: Baseline = "blur"
) -> MapValues:
    """The score of the picture minus that without one cell, for each cell of a grid.

    e_i = y(x) - y(x with cell i replaced). cells: along the shorter side; as many forwards as there are cells. Gives
    `[B, h, w]` on the grid of cells. baseline: what stands in for a cell, or "drop": its tokens are left out.

    Raises LayoutError for more cells than pixels, CallError where tokens cannot be left out.
    Source: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2.

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_vit")
    >>> few = partial(rg.explainers.occlusion, cells=2)
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method=few, target=7).grid
    Grid(h=2, w=3, prefix=0)
    """
    pieces = grid_cells(x, cells)
    removal = Removal(score, pieces, baseline, generator)
    alone = ~torch.eye(pieces.count, dtype=torch.bool)
    return MapValues(pieces.to_map((removal.whole.cpu() - removal(alone)).T.contiguous()), pieces.on)
