"""Differential attention: one softmax less a share of another, so that what both find cancels."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, softmax_attention
from regard.registry import method


@method(
    "operators",
    paper="differential-transformer",
    claim="a share of 0 is plain attention of the first half; equals the difference of two explicit softmax matrices",
    source="the paper's difference of two softmax maps",
    needs={"q", "k", "v"},
    differs="the learned lambda and the norm of heads are left to a layer",
    unit="values",
    kinds="self, cross, causal cross",
)
def differential(q: Queries, k: Keys, v: Values, *, share: float | Tensor = 0.8, scale: float | None = None) -> Output:
    """(softmax(scale q1 k1^T) - share softmax(scale q2 k2^T)) v, with q = [q1, q2] and k = [k1, k2].

    share: lambda; one number, or one for each head ([H]). scale: 1 / sqrt(D / 2) unless given.

    q [B, H, Q, D] with D even, k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E]. Weights sum to 1 - share.

    Raises LayoutError where shapes do not fit, or D is odd. Source: Ye et al. 2024, "Differential Transformer".

    >>> import regard as rg, torch
    >>> q, k = torch.randn(2, 1, 1, 5, 8)
    >>> rg.operators.differential(q, k, torch.ones(1, 1, 5, 1), share=0.75)[0, 0, 0]
    tensor([0.2500])
    """
    check(q, k, v)
    if q.shape[-1] % 2:
        raise LayoutError(f"q is {list(q.shape)}", hint="an even width: two halves, one for each softmax")
    share = torch.as_tensor(share, dtype=q.dtype, device=q.device).view(-1, 1, 1)
    (q1, q2), (k1, k2) = q.chunk(2, -1), k.chunk(2, -1)
    return softmax_attention(q1, k1, v, scale=scale) - share * softmax_attention(q2, k2, v, scale=scale)
