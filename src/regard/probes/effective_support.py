"""Effective support: the number of keys that a query really looks at."""

from __future__ import annotations

import torch

from regard.core.call import PerQuery, Rows
from regard.registry import method


@method(
    "probes",
    paper="sparsity-measures",
    claim="the number of keys for uniform attention, 1 for one key, 0 for a wholly masked query",
    source="the measure l2/l1: this is the inverse of its square",
    needs={"rows"},
    differs="inverted and squared, so that it counts keys",
    unit="keys",
)
def effective_support(rows: Rows) -> PerQuery:
    """Number of keys that share a query's attention: its inverse participation.

    n_i = 1 / sum_j p_ij^2; m keys with equal weight give m. Less swayed by many faint keys than
    2^entropy, which is never smaller.

    Our p: the attention weights [B, H, Q, K]. Gives [B, H, Q], 1 .. K keys; 0 for a wholly masked query.

    Source: Hurley and Rickard 2009, "Comparing Measures of Sparsity", the measure l2/l1.

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> s = torch.zeros(1, 1, 2, 8)
    >>> rg.probes.effective_support(Rows(start=0, logits=s, probs=s.softmax(-1), queries=2))
    tensor([[[8., 8.]]])
    """
    squares = torch.einsum("bhqk,bhqk->bhq", rows.probs, rows.probs)
    return squares.reciprocal().masked_fill(squares == 0, 0.0)
