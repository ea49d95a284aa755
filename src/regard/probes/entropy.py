"""Attention entropy: how many keys a query really looks at."""

from __future__ import annotations

import math

import torch

from regard.core.call import PerQuery, Rows
from regard.registry import method

TOLERANCE = 1e-2  # of a row's sum: half precision rounds by as much


@method(
    "probes",
    paper="clark-heads",
    claim="log2 of the number of keys for uniform attention, 0 for a query with one key",
    source="section 5.1: entropy of each head's attention distribution",
    needs={"rows"},
    differs="bits instead of nats; every query, not only chosen tokens",
    unit="bits",
)
def entropy(rows: Rows) -> PerQuery:
    """Shannon entropy of each query's attention, in bits.

    H_i = -sum_j p_ij log2 p_ij, computed as (lse_i - sum_j p_ij s_ij) / ln 2 from the logits s,
    which needs no logarithm of N^2 numbers.

    Our p, s: the attention weights and logits [B, H, Q, K]. Gives [B, H, Q], 0 .. log2 K bits;
    2^H is the effective number of keys. A wholly masked query has entropy 0; NaN where a model or an edit
    makes weights that are no distribution (negative, or with another sum than 1).

    Source: Clark et al. 2019, "What Does BERT Look At?", section 5.1.

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> s = torch.zeros(1, 1, 2, 8)
    >>> rg.probes.entropy(Rows(start=0, logits=s, probs=s.softmax(-1), queries=2))
    tensor([[[3., 3.]]])
    """
    logits = rows.logits.nan_to_num(neginf=0.0) if rows.masked else rows.logits  # 0 * -inf adds nothing
    mean = torch.einsum("bhqk,bhqk->bhq", rows.probs, logits)
    bits = ((rows.lse - mean) / math.log(2)).nan_to_num(0.0).clamp_min(0.0)
    if rows.given:  # heads mixed after the softmax, say, as in CaiT: such a row has no entropy
        total = rows.probs.sum(-1)
        wrong = ((total - 1).abs() > TOLERANCE) & (total != 0) | (rows.probs < 0).any(-1)
        bits = bits.masked_fill(wrong, torch.nan)
    return bits
