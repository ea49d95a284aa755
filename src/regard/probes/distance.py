"""Mean attention distance: how far a head looks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.core.call import PerQuery, Rows
from regard.layout import Grid
from regard.registry import method


@method(
    "probes",
    paper="vit",
    claim="equals the mean distance between patches for uniform attention, 0 for a head that looks at itself",
    source="appendix D.7: distance between query and key positions, weighted by attention",
    needs={"rows", "grid"},
    differs="in patches instead of pixels; mass on prefix tokens is left out and the rest renormalised",
    unit="patches",
)
def distance(rows: Rows, grid: Grid) -> PerQuery:
    """Attention-weighted distance between a query patch and the patches it looks at, in patches.

    d_i = sum_j p_ij |x_i - x_j| / sum_j p_ij over patch keys j, with x the patch centres.

    Our p: the attention weights [B, H, Q, K]. Gives [B, H, Q]; NaN for prefix queries (they lie
    nowhere) and for queries that look at prefix tokens only.

    Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", appendix D.7.

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> s = torch.zeros(1, 1, 2, 2)
    >>> rg.probes.distance(Rows(start=0, logits=s, probs=s.softmax(-1), queries=2), rg.Grid(1, 2))
    tensor([[[0.5000, 0.5000]]])
    """
    grid.check_tokens(rows.probs.shape[-1], "the attention row")
    on_patches = rows.probs[..., grid.prefix :]
    lengths = _lengths(grid, rows.start, rows.stop, on_patches)
    return torch.einsum("bhqk,qk->bhq", on_patches, lengths) / on_patches.sum(-1)


def _lengths(grid: Grid, start: int, stop: int, like: Tensor) -> Float[Tensor, "rows patches"]:
    """Distances from some tokens, NaN from prefix tokens; all of them at once would be as large as a map."""
    at = torch.arange(start, stop, device=like.device) - grid.prefix
    down = (at // grid.w)[:, None] - torch.arange(grid.h, device=like.device)
    across = (at % grid.w)[:, None] - torch.arange(grid.w, device=like.device)
    squares = down.square().to(like)[:, :, None] + across.square().to(like)[:, None, :]  # whole numbers: exact
    return squares.sqrt_().flatten(1).masked_fill_(at[:, None] < 0, torch.nan)
