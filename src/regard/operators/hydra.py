"""Hydra attention: as many heads as channels, and so no matrix at all."""

from __future__ import annotations

from torch.nn import functional as F

from regard.operators._shared import Keys, Output, Queries, Values, check
from regard.registry import method


@method(
    "operators",
    paper="hydra-attention",
    claim="equals linear attention with one head a channel",
    source="the paper's form with the cosine kernel",
    needs={"q", "k", "v"},
    differs="none",
    unit="values",
    kinds="self, cross, causal cross",
)
def hydra(q: Queries, k: Keys, v: Values) -> Output:
    """out_i = q'_i * sum_j k'_j * v_j, channel by channel, with q' and k' of length 1.

    q [B, H, Q, D], k and v [B, H, K, D]; gives [B, H, Q, D]. The paper has H = 1 and D the model's width. Cost N D.

    Raises LayoutError where shapes do not fit. Source: Bolya et al. 2022, "Hydra Attention: Efficient Attention with
    Many Heads".

    >>> import regard as rg, torch
    >>> one = torch.ones(1, 1, 3, 4)
    >>> rg.operators.hydra(one, one, one)[0, 0, 0]  # 1/2 * (3 * 1/2)
    tensor([0.7500, 0.7500, 0.7500, 0.7500])
    """
    check(q, k, v)
    gathered = (F.normalize(k, dim=-1) * v).sum(2, keepdim=True)
    return F.normalize(q, dim=-1) * gathered
