"""Slot attention: slots compete for tokens."""

from __future__ import annotations

import torch

from regard.operators._shared import Keys, Output, Queries, Values, check, scale_of
from regard.registry import method


@method(
    "operators",
    paper="slot-attention",
    claim="before the mean, weights sum to 1 over slots; permuting slots permutes the output",
    source="the paper's attention over slots and weighted mean",
    needs={"q", "k", "v"},
    differs="one reading; the recurrent update of slots is left to a layer",
    unit="values",
    kinds="self, cross",
)
def slots(q: Queries, k: Keys, v: Values, *, scale: float | None = None, eps: float = 1e-8) -> Output:
    """out_i = sum_j w_ij v_j / sum_j w_ij, with w the softmax over slots i (not over tokens j) of scale q_i . k_j.

    q: the slots. scale: 1 / sqrt(D) unless given. eps: added to w, so that a slot that lost every token is a mean.

    q [B, H, S, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, S, E].

    Raises LayoutError where shapes do not fit. Source: Locatello et al. 2020, "Object-Centric Learning with Slot
    Attention".

    >>> import regard as rg, torch
    >>> slot, token = 9 * torch.eye(2)[None, None], torch.eye(2)[None, None]
    >>> rg.operators.slots(slot, token, torch.tensor([[3.0], [5.0]])[None, None], scale=1.0).flatten().round(decimals=2)
    tensor([3., 5.])
    """
    check(q, k, v)
    w = torch.softmax(scale_of(q, scale) * q @ k.mT, 2) + eps
    return (w / w.sum(-1, keepdim=True)) @ v
