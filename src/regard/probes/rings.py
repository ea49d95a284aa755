"""Rings: how attention falls off with distance on the picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from regard.core.call import Rows, Summed
from regard.errors import CallError
from regard.layout import Grid
from regard.probes._shared import patch_rows
from regard.registry import method


@method(
    "probes",
    paper="vit-visual-analytics",
    claim="a head's profile sums to 1; uniform attention gives each ring its share of the pairs of patches",
    source="attention strength between patches by their distance, for each head",
    needs={"rows", "grid"},
    differs="rings of Euclidean distance; a ring's strength is its sum over keys, not their average",
    unit="share of attention on patches",
)
def rings(rows: Rows, grid: Grid, *, width: float = 1.0, count: int | None = None) -> Summed:
    """Share of a head's attention in each ring around the query's patch: its profile over distance.

    a_r = mean_i sum_{j: r <= |x_i - x_j| / width < r + 1} p_ij / sum_j p_ij over patches i, j with the patch
    centres x. width: of a ring, in patches; count: number of rings, the last of which also holds all that
    lies beyond (None: as many as the grid has).

    Our p: the attention weights [B, H, Q, K]. Gives [B, H, R]; each profile sums to 1, less the share of
    patch queries that look at no patch at all. With width 1 the first ring is the patch itself.

    Raises CallError if a ring has no width or there are none. Source: Li et al. 2023, "How Does Attention
    Work in Vision Transformers? A Visual Analytics Attempt".

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> s = torch.zeros(1, 1, 4, 4)
    >>> rg.probes.rings(Rows(start=0, logits=s, probs=s.softmax(-1), queries=4), rg.Grid(2, 2))
    tensor([[[0.2500, 0.7500]]])
    """
    if width <= 0 or (count is not None and count < 1):
        raise CallError(f"{count or 'all'} rings {width} patches wide", hint="width above 0, and one ring or more")
    probs, first = patch_rows(rows, grid)
    count = count or int(math.hypot(grid.h - 1, grid.w - 1) / width) + 1
    ring = _ring(grid, first, probs.shape[2], width).clamp_max(count - 1).to(probs.device)
    mass = probs.new_zeros(*probs.shape[:3], count).scatter_add_(3, ring.expand_as(probs), probs)
    return (mass / mass.sum(-1, keepdim=True)).nan_to_num(0.0).sum(2) / grid.patches


def _ring(grid: Grid, first: int, number: int, width: float) -> Tensor:
    """The ring of every patch around each of `number` patches, [number, h*w]; never all pairs at once."""
    centres = grid.centres().double()
    apart = torch.cdist(centres[first : first + number], centres, compute_mode="donot_use_mm_for_euclid_dist")
    return (apart / width).long()
