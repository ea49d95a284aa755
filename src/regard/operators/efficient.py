"""Efficient attention: softmax over the channels of queries and over the tokens of keys, then linear."""

from __future__ import annotations

import torch

from regard.operators._shared import Keys, Output, Queries, Values, check
from regard.registry import method


@method(
    "operators",
    paper="efficient-attention",
    claim="equals the quadratic form, whose rows sum to 1",
    source="the paper's softmax normalisation: queries over channels, keys over tokens",
    needs={"q", "k", "v"},
    differs="none",
    unit="values",
    kinds="self, cross, causal cross",
)
def efficient(q: Queries, k: Keys, v: Values) -> Output:
    """softmax_channels(q) (softmax_tokens(k)^T v): D global contexts, mixed by each query.

    Each channel of the keys is a map over tokens that sums to 1 and gathers one context of the values.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E]. Cost N D E.

    Raises LayoutError where shapes do not fit. Source: Shen et al. 2021, "Efficient Attention: Attention with Linear
    Complexities".

    >>> import regard as rg, torch
    >>> rg.operators.efficient(torch.randn(1, 1, 3, 4), torch.zeros(1, 1, 2, 4), torch.eye(2)[None, None])[0, 0, 0]
    tensor([0.5000, 0.5000])
    """
    check(q, k, v)
    return torch.softmax(q, -1) @ (torch.softmax(k, 2).mT @ v)
