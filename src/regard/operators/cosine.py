"""Cosine attention: logits that only the angle between query and key decides."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.operators._shared import Keys, Output, Queries, Values, check, softmax_attention
from regard.registry import method


@method(
    "operators",
    paper="swin-v2",
    claim="equals softmax attention of normalised q and k; lengths of q and k do not matter",
    source="scaled cosine attention",
    needs={"q", "k", "v"},
    differs="tau is not clamped, and the bias is given",
    unit="values",
    kinds="self, cross, causal cross",
)
def cosine(q: Queries, k: Keys, v: Values, *, tau: float | Tensor = 0.1, bias: Tensor | None = None) -> Output:
    """softmax(cos(q_i, k_j) / tau + bias) v.

    tau: one number, or one for each head ([H]). bias broadcasts to [B, H, Q, K].

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E].

    Raises LayoutError where shapes do not fit. Source: Liu et al. 2022, "Swin Transformer V2".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 1, 5, 4)
    >>> torch.allclose(rg.operators.cosine(q, k, v), rg.operators.cosine(9 * q, k / 9, v), atol=1e-5)
    True
    """
    check(q, k, v)
    tau = torch.as_tensor(tau, dtype=q.dtype, device=q.device).view(-1, 1, 1)
    return softmax_attention(F.normalize(q, dim=-1) / tau, F.normalize(k, dim=-1), v, scale=1.0, bias=bias)
