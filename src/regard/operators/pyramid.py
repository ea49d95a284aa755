"""Pyramid sparse attention: important blocks in full, less important ones as means, the rest not at all."""

from __future__ import annotations

import torch

from regard.errors import LayoutError
from regard.operators._blocks import Chosen, attend_blocks, cut, importance
from regard.operators._shared import Keys, Output, Queries, Values, check, scale_of
from regard.registry import method


@method(
    "operators",
    paper="pyramid-sparse-attention",
    claim="all blocks in full is dense attention; equals a loop over pairs of blocks; beats keep or drop",
    source="the paper's pooled levels of keys and values, assignment by importance, and weight of a mean by its size",
    needs={"q", "k", "v"},
    differs="importance is the softmax of products of block means; levels by rank and not by thresholds",
    unit="values",
    kinds="self, cross",
)
def pyramid(
    q: Queries, k: Keys, v: Values, *, block: int = 8, shares: tuple[float, ...] = (0.25, 0.25, 0.25),
    scale: float | None = None,
) -> Output:  # fmt: skip
    """For each query block: the shares[0] most important key blocks in full, the next shares[1] as means of pairs, ...

    Level l holds means of 2^l neighbouring keys and values, each of which counts for 2^l tokens (+ l log 2 in its
    logit); blocks beyond all shares are skipped. scale: 1 / sqrt(D) unless given.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E]. Cost Q D sum_l K shares[l] / 2^l.

    Raises LayoutError where blocks do not divide the tokens, a level is finer than a block, or nothing is kept.
    Source: Li et al. 2025, "PSA: Pyramid Sparse Attention for Efficient Video Understanding and Generation".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 2, 32, 4)
    >>> dense = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    >>> torch.allclose(rg.operators.pyramid(q, k, v, shares=(1.0,)), dense, atol=1e-5)
    True
    """
    check(q, k, v)
    scale = scale_of(q, scale)
    qs, ks, vs = (cut(x, block) for x in (q, k, v))
    order = importance(qs, ks, scale).argsort(-1, descending=True)
    chosen, start = [], 0
    for level, stop in enumerate(_stops(shares, ks.shape[2])):
        if block % 2**level:
            raise LayoutError(f"level {level} of blocks of {block}", hint=f"blocks of a multiple of {2**level}")
        few_k, few_v = (x.unflatten(3, (-1, 2**level)).mean(4) for x in (ks, vs))
        chosen.append(Chosen(few_k, few_v, order[..., start:stop], 2**level))
        start = stop
    return attend_blocks(qs, chosen, scale=scale)


def _stops(shares: tuple[float, ...], blocks: int) -> list[int]:
    """The rank at which each level ends; the first keeps at least one block."""
    if not shares or min(shares) < 0 or sum(shares) > 1 + 1e-9 or sum(shares) == 0:
        raise LayoutError(f"shares {shares}", hint="at least 0 each, above 0 and at most 1 together")
    ends = torch.tensor(shares, dtype=torch.float64).cumsum(0) * blocks
    return [max(1, round(end)) for end in ends.tolist()] if shares[0] else [round(end) for end in ends.tolist()]
