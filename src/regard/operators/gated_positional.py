"""Gated positional attention: each head weighs content against position."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, scale_of
from regard.registry import method


@method(
    "operators",
    paper="convit",
    claim="equals timm's ConViT attention with copied weights; a gate of 1 is position alone",
    source="the paper's GPSA, as in timm",
    needs={"q", "k", "v", "position"},
    differs="logits of position and the gate are given; both softmaxes sum to 1, so nothing is normalised again",
    unit="values",
    kinds="self, cross, causal cross",
)
def gated_positional(
    q: Queries, k: Keys, v: Values, position: Tensor, *, gate: float | Tensor = 0.5, scale: float | None = None
) -> Output:
    """((1 - gate) softmax(scale q k^T) + gate softmax(position)) v.

    gate: the paper's sigma(lambda), in [0, 1]; one number, or one for each head ([H]). scale: 1 / sqrt(D) unless
    given. With position logits -a |offset - centre_h|^2 and a large, head h reads one neighbour, as a convolution.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E], position [H, Q, K]; gives [B, H, Q, E].

    Raises LayoutError where shapes do not fit, or a gate lies outside [0, 1]. Source: d'Ascoli et al. 2021, "ConViT".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 1, 3, 4)
    >>> here = 1e3 * torch.eye(3)[None]
    >>> torch.allclose(rg.operators.gated_positional(q, k, v, here, gate=1.0), v)
    True
    """
    check(q, k, v)
    if position.shape != (q.shape[1], q.shape[2], k.shape[2]):
        raise LayoutError(f"position {list(position.shape)} for q {list(q.shape)}", hint="[H, Q, K]")
    share = torch.as_tensor(gate, dtype=q.dtype, device=q.device).view(-1, 1, 1)
    if not bool(((share >= 0) & (share <= 1)).all()):
        raise LayoutError(f"a gate from {float(share.min()):.3g} to {float(share.max()):.3g}", hint="0 .. 1")
    content = torch.softmax(scale_of(q, scale) * q @ k.mT, -1)
    return ((1 - share) * content + share * torch.softmax(position.to(q), -1)) @ v
