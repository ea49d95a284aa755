"""Low-rank bias: an additive bias of attention that never becomes a matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, scale_of, softmax_attention
from regard.registry import method


@method(
    "operators",
    paper="flashbias",
    claim="equals attention with the dense bias, in outputs and gradients",
    source="the paper's identity: factors of the bias appended to queries and keys",
    needs={"q", "k", "v", "left", "right"},
    differs="factors are given (exact ones, or the singular vectors of a bias); none are learnt",
    unit="values",
    kinds="self, cross, causal cross",
)
def low_rank_bias(q: Queries, k: Keys, v: Values, left: Tensor, right: Tensor, *, scale: float | None = None) -> Output:
    """softmax(scale q k^T + left right^T) v as plain attention of [scale q, left] and [k, right].

    ALiBi's -m |i - j| of causal attention is m j - m i: rank 2. A squared distance is rank 3 an axis. R more channels
    instead of a Q x K bias that a fused kernel would have to read. scale: 1 / sqrt(D) unless given.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E], left [H, Q, R], right [H, K, R] (or with B in front); gives
    [B, H, Q, E].

    Raises LayoutError where shapes do not fit. Source: Wu et al. 2025, "FlashBias: Fast Computation of Attention with
    Bias".

    >>> import regard as rg, torch
    >>> q, k, v, left, right = *torch.randn(3, 1, 2, 5, 4), torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    >>> dense = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=left @ right.mT)
    >>> torch.allclose(rg.operators.low_rank_bias(q, k, v, left, right), dense, atol=1e-5)
    True
    """
    check(q, k, v)
    for name, factor, tokens in (("left", left, q), ("right", right, k)):
        fits = factor.shape[-3:-1] == tokens.shape[1:3] and factor.shape[-1] == right.shape[-1]
        if not fits or factor.ndim not in (3, 4):
            raise LayoutError(f"{name} {list(factor.shape)} for q {list(q.shape)}, k {list(k.shape)}", hint="[H, N, R]")
    left, right = (f.to(q).expand(*q.shape[:2], -1, -1) for f in (left, right))
    longer_q, longer_k = torch.cat([scale_of(q, scale) * q, left], -1), torch.cat([k, right], -1)
    return softmax_attention(longer_q, longer_k, v, scale=1.0)
