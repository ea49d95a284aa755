"""Offset head: the one displacement that a head looks at most, as its convolution tap would be."""

from __future__ import annotations

import torch

from regard.core.call import Call, Summed
from regard.layout import Grid
from regard.probes.offset_profile import offset_profile
from regard.registry import method


@method(
    "probes",
    paper="teaching-matters",
    claim="the exact displacement and share 1 for a head of fixed offset; share 1 / tokens for uniform attention",
    source="offset local attention heads: a fixed directional offset from the current token",
    needs={"call", "grid"},
    differs="found by number instead of by eye, as the largest entry of the offset profile",
    unit="patches, patches, share of attention",
)
def offset_head(call: Call, grid: Grid, *, radius: int = 2) -> Summed:
    """The displacement (dy, dx) that a head attends to most, and how much attention it has there.

    (dy, dx) = argmax a(dy, dx) and a's value there, with a the offset profile (`offset_profile`) over all
    |dy|, |dx| <= radius. Gives [B, H, 3]: dy, dx in patches (down, right) and the share. An offset local
    attention head has dy, dx other than (0, 0) and a share far above 1 / tokens: 1 if it does nothing else,
    over .3 in four heads of DINOv2-small. A head that looks at itself has (0, 0); for one that looks
    everywhere alike the share is 1 / tokens and the place means nothing.

    Raises CallError as `offset_profile` does. Source: Walmer et al. 2023, "Teaching Matters: Investigating
    the Role of Supervision in Vision Transformers".

    >>> import regard as rg, torch
    >>> from regard.core.call import Call
    >>> p = torch.eye(9).roll(1, dims=1)[None, None]  # everybody looks at the next patch
    >>> rg.probes.offset_head(Call("attn", 0, "hand", None, None, v=p, weights=p), rg.Grid(3, 3), radius=1)
    tensor([[[0., 1., 1.]]])
    """
    profile = torch.stack([offset_profile(rows, grid, radius=radius) for rows in call.blocks()]).sum(0)
    share, at = profile.flatten(2).max(-1)
    side = profile.shape[-1]
    return torch.stack([(at // side - radius).to(share), (at % side - radius).to(share), share], dim=-1)
