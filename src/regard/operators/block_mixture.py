"""Mixture of blocks: each query reads the key blocks that resemble it, as many as it takes."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, scale_of
from regard.registry import method


@method(
    "operators",
    paper="vmoba",
    claim="selecting all blocks is dense attention; gathering equals masking; the count follows the concentration",
    source="the paper's three parts: cyclic partition, selection over a whole head, threshold on cumulative similarity",
    needs={"q", "k", "v"},
    differs="a query's best block is always read; similarities are softmaxed over blocks before they are ranked",
    unit="values",
    kinds="self, cross",
)
def block_mixture(
    q: Queries, k: Keys, v: Values, *, space: tuple[int, ...] | None = None, block: tuple[int, ...] = (8,),
    threshold: float = 0.5, form: Literal["gathered", "masked"] = "gathered", scale: float | None = None,
) -> Output:  # fmt: skip
    """Attention over blocks of keys, chosen for all queries of a head at once.

    Similarity of a query and a block: softmax over blocks of scale q . mean(k of the block). All pairs of a head are
    ranked together and taken from the top until they hold `threshold` of all similarity, so that queries with clear
    preferences read few blocks. space: how the keys lie, as (frames, rows, columns), say; None: in a row. block: the
    block's extent along each axis; layers cycle through (t, H, W), (T, h, w) and (t, h, w). scale: 1 / sqrt(D)
    unless given.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E].

    Raises LayoutError where blocks do not divide the space, or threshold is no share. Source: Wu et al. 2025, "VMoBA:
    Mixture-of-Block Attention for Video Diffusion Models".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 2, 32, 4)
    >>> dense = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    >>> torch.allclose(rg.operators.block_mixture(q, k, v, threshold=1.0), dense, atol=1e-5)
    True
    """
    check(q, k, v)
    if not 0 <= threshold <= 1:
        raise LayoutError(f"threshold={threshold}", hint="0 (the best block only) .. 1 (all)")
    if form not in ("gathered", "masked"):
        raise LayoutError(f"form='{form}'", hint="gathered or masked")
    scale, members = scale_of(q, scale), _members(k.shape[2], space, block)
    taken = _selected(q, k, members, threshold, scale)
    if form == "masked":
        seen = torch.zeros(*taken.shape[:3], k.shape[2], dtype=torch.bool, device=q.device)
        seen[..., members.flatten()] = taken.repeat_interleave(members.shape[1], -1)
        return torch.softmax((scale * q @ k.mT).masked_fill(~seen, float("-inf")), -1) @ v
    return _gathered(q, k, v, taken, members.to(q.device), scale)


def _members(tokens: int, space: tuple[int, ...] | None, block: tuple[int, ...]) -> Tensor:
    """The tokens of each block, [blocks, size]."""
    space = (tokens,) if space is None else space
    if len(space) != len(block) or math.prod(space) != tokens or any(s % b for s, b in zip(space, block, strict=True)):
        raise LayoutError(f"{tokens} tokens as {space} in blocks of {block}", hint="blocks that divide every axis")
    at = torch.arange(tokens).view(*(n for s, b in zip(space, block, strict=True) for n in (s // b, b)))
    axes = len(space)
    return at.permute(*range(0, 2 * axes, 2), *range(1, 2 * axes, 2)).reshape(-1, math.prod(block))


def _selected(q: Tensor, k: Tensor, members: Tensor, threshold: float, scale: float) -> Tensor:
    """Which blocks each query reads, [B, H, Q, blocks]."""
    likeness = torch.softmax(scale * q.detach() @ k.detach()[:, :, members].mean(3).mT, -1)
    ranked, order = likeness.flatten(2).sort(-1, descending=True)
    before = ranked.cumsum(-1) - ranked  # what stronger pairs hold already
    enough = before < threshold * likeness.shape[2]
    taken = torch.zeros_like(enough).scatter(-1, order, enough if threshold < 1 else torch.ones_like(enough))
    best = torch.zeros_like(likeness, dtype=torch.bool).scatter(-1, likeness.argmax(-1, keepdim=True), True)
    return taken.view_as(likeness) | best


def _gathered(q: Tensor, k: Tensor, v: Tensor, taken: Tensor, members: Tensor, scale: float) -> Tensor:
    """One row for each pair of a query and a block that it reads; rows of one query are softmaxed together."""
    *shape, _ = q.shape
    q, k, v, taken = (x.flatten(0, 1) for x in (q, k, v, taken))
    head, query, block = taken.nonzero(as_tuple=True)
    row, keys = head * q.shape[1] + query, members[block]
    logits = scale * (k[head[:, None], keys] @ q[head, query][..., None])[..., 0]
    top = logits.new_full((math.prod(shape),), float("-inf"))
    top = top.scatter_reduce(0, row, logits.detach().amax(-1), "amax")
    weights = (logits - top[row][:, None]).exp()
    total = torch.zeros_like(top).index_add(0, row, weights.sum(-1))
    values = (weights[:, None] @ v[head[:, None], keys])[:, 0]
    summed = v.new_zeros(len(top), v.shape[-1]).index_add(0, row, values)
    return (summed / total[:, None]).view(*shape, -1)
