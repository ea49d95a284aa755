"""Hierarchical self-attention: far away, whole groups of tokens share one weight; the nearest such thing to softmax."""

from __future__ import annotations

import math

import torch

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, scale_of
from regard.registry import method


@method(
    "operators",
    paper="hierarchical-self-attention",
    claim="a flat hierarchy is softmax attention; equals a numerical minimum of the divergence over tied weights",
    source="the problem (nearest tied matrix, in divergence) as the paper poses it; the recursion is derived here",
    needs={"q", "k", "v"},
    differs="trees whose nodes of a level all have as many children",
    unit="values",
    kinds="self",
)
def hierarchical(
    q: Queries, k: Keys, v: Values, *, branching: int | tuple[int, ...] = 4, scale: float | None = None
) -> Output:
    """Attention by the row-stochastic matrix that is nearest to softmax (KL divergence) among those tied by a tree.

    Tied: all pairs (i in A, j in B) of tokens under two children A, B of one node have one weight. A token of A then
    spreads its mass at that node over its own subtree, with logit L_A, and its siblings B, with logits
    scale mean_A(q) . mean_B(k) + log |B|. From below: L is the token's own logit scale q_i . k_i at a leaf, and at a
    node the mean over its tokens of the log-sum-exp at its children. Exact, in one pass up and one down.
    branching: children of a node, from the root down to tokens in their order; a number: of every node.

    q, k [B, H, N, D], v [B, H, N, E]; gives [B, H, N, E]. About N b D where every node has b children.
    scale: 1 / sqrt(D) unless given.

    Raises LayoutError where the tree has other leaves than there are tokens. Source: Amizadeh et al. 2025,
    "Hierarchical Self-Attention".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 2, 12, 4)
    >>> dense = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    >>> torch.allclose(rg.operators.hierarchical(q, k, v, branching=(12,)), dense, atol=1e-5)
    True
    """
    check(q, k, v, same_count=True)
    tree, scale = _tree(q.shape[2], branching), scale_of(q, scale)
    inside, below, weights, means = scale * (q * k).sum(-1), 1, [], []  # L of every node, from the leaves up
    for children in reversed(tree):
        qs, ks, vs = (x.unflatten(2, (-1, children)) for x in (q, k, v))
        own = torch.eye(children, dtype=torch.bool, device=q.device)
        logits = torch.where(own, inside.unflatten(2, (-1, children))[..., None], scale * qs @ ks.mT + math.log(below))
        weights.append(torch.softmax(logits, -1))
        means.append(vs)
        inside, below = torch.logsumexp(logits, -1).mean(-1), below * children
        q, k, v = (x.mean(3) for x in (qs, ks, vs))
    out, kept = torch.zeros_like(v), torch.ones_like(v[..., :1])  # of the root; then from the root down
    for w, vs in zip(reversed(weights), reversed(means), strict=True):
        stays = w.diagonal(dim1=-2, dim2=-1)[..., None]
        others = w @ vs - stays * vs
        out = (out[:, :, :, None] + kept[:, :, :, None] * others).flatten(2, 3)
        kept = (kept[:, :, :, None] * stays).flatten(2, 3)
    return out + kept * means[0].flatten(2, 3)


def _tree(tokens: int, branching: int | tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(branching, int):
        depth = round(math.log(tokens, branching)) if branching > 1 and tokens > 0 else 0
        branching = (branching,) * max(1, depth)
    if math.prod(branching) != tokens or min(branching) < 1:
        raise LayoutError(f"branching {branching} for {tokens} tokens", hint="numbers whose product is the tokens")
    return branching
