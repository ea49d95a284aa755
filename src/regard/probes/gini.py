"""Gini coefficient: how unevenly a query's attention is spread."""

from __future__ import annotations

import torch

from regard.core.call import PerQuery, Rows
from regard.registry import method


@method(
    "probes",
    paper="sparsity-measures",
    claim="0 for uniform attention, 1 - m / K for equal attention on m of K keys",
    source="definition of the Gini index over sorted coefficients",
    needs={"rows"},
    differs="none",
    unit="gini",
)
def gini(rows: Rows) -> PerQuery:
    """Gini coefficient of each query's attention: 0 when all keys get the same, near 1 when one gets all.

    G_i = sum_j (2j - K - 1) p_i(j) / K with the weights sorted upwards, p_i(1) <= ... <= p_i(K).
    Forbidden keys count as keys with weight 0. Every row is sorted, which costs more than the other probes.

    Our p: the attention weights [B, H, Q, K]; the paper's c. Gives [B, H, Q], 0 .. 1 - 1/K; 0 for a
    wholly masked query.

    Source: Hurley and Rickard 2009, "Comparing Measures of Sparsity".

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> p = torch.tensor([[[[0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0]]]])
    >>> rg.probes.gini(Rows(start=0, logits=p.log(), probs=p, queries=2, masked=True))
    tensor([[[0.0000, 0.7500]]])
    """
    ascending, _ = rows.probs.sort(-1)
    keys = ascending.shape[-1]
    place = torch.arange(1 - keys, keys, 2, dtype=ascending.dtype, device=ascending.device)
    return (ascending @ place / keys).clamp_min(0.0)
