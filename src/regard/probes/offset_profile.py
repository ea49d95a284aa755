"""Offset profile: which way from itself a head looks."""

from __future__ import annotations

import torch

from regard.core.call import Rows, Summed
from regard.errors import CallError
from regard.layout import Grid
from regard.probes._shared import patch_rows
from regard.registry import method


@method(
    "probes",
    paper="teaching-matters",
    claim="1 at its own displacement for a head of fixed offset, 1 / tokens everywhere for uniform attention",
    source="aligned aggregated attention maps: every patch's attention shifted onto a common centre, and averaged",
    needs={"rows", "grid"},
    differs="each displacement is averaged over the patches that have a patch there, not over all, so that the "
    "picture's border takes nothing off; mass on prefix tokens is not given to the patches; only near displacements",
    unit="share of attention",
)
def offset_profile(rows: Rows, grid: Grid, *, radius: int = 2) -> Summed:
    """Mean attention to the patch `dy` down and `dx` to the right of oneself, for all |dy|, |dx| <= radius.

    a(dy, dx) = mean_i p_{i, i + (dy, dx)} over the patches i whose target lies on the grid: there are
    (h - |dy|) (w - |dx|) of them. Our p: the attention weights [B, H, Q, K]. Gives
    [B, H, 2 radius + 1, 2 radius + 1], rows dy and columns dx from -radius to radius, oneself in the middle.

    Raises CallError if some displacement leads off the grid from everywhere. Source: Walmer et al. 2023,
    "Teaching Matters: Investigating the Role of Supervision in Vision Transformers".

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> p = torch.eye(9).roll(3, dims=1)[None, None]  # everybody looks at the patch below
    >>> rows = Rows(start=0, logits=p.log(), probs=p, queries=9, masked=True)
    >>> rg.probes.offset_profile(rows, rg.Grid(3, 3), radius=1)
    tensor([[[[0., 0., 0.],
              [0., 0., 0.],
              [0., 1., 0.]]]])
    """
    if not 0 <= radius < min(grid.h, grid.w):
        raise CallError(f"no pair of patches is {radius} apart both ways on grid {grid}", hint="a smaller radius")
    probs, first = patch_rows(rows, grid)
    patch = torch.arange(first, first + probs.shape[2], device=probs.device)
    steps = range(-radius, radius + 1)
    profile = probs.new_zeros(*probs.shape[:2], len(steps), len(steps))
    for dy in steps:
        for dx in steps:
            y, x = patch // grid.w + dy, patch % grid.w + dx
            here = patch[(y >= 0) & (y < grid.h) & (x >= 0) & (x < grid.w)]
            pairs = (grid.h - abs(dy)) * (grid.w - abs(dx))
            profile[:, :, dy + radius, dx + radius] = probs[:, :, here - first, here + dy * grid.w + dx].sum(-1) / pairs
    return profile
