"""Reversed attention: each token chooses its parents and sends its value to them."""

from __future__ import annotations

import torch

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, scale_of
from regard.registry import method


@method(
    "operators",
    paper="dependencyvit",
    claim="the sum of outputs is the sum of values; equals the product with the transposed matrix",
    source="reversed self-attention: the softmax matrix of children over parents, transposed",
    needs={"q", "k", "v"},
    differs="the soft selection of heads and the message controller are left to a layer",
    unit="values",
    kinds="self",
)
def reversed_attention(q: Queries, k: Keys, v: Values, *, scale: float | None = None) -> Output:
    """out_j = sum_i softmax_j(scale q_i . k_j) v_i: children i spread over parents j what they have.

    Plain attention gathers a mean; here nothing is lost or made: sum_j out_j = sum_i v_i. A token that nobody
    chooses gets nothing (a leaf). scale: 1 / sqrt(D) unless given.

    q [B, H, Q, D] of the children, k [B, H, K, D] of the parents, v [B, H, Q, E] of the children; gives [B, H, K, E].

    Raises LayoutError where shapes do not fit. Source: Ding et al. 2023, "Visual Dependency Transformers".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(2, 1, 1, 3, 4).unbind() + (torch.ones(1, 1, 3, 1),)
    >>> rg.operators.reversed_attention(q, k, v).sum().round()
    tensor(3.)
    """
    check(q, k, k)
    if v.shape[:3] != q.shape[:3] or v.dtype != q.dtype:
        raise LayoutError(f"v {list(v.shape)} for q {list(q.shape)}", hint="a value for each child, that is each query")
    return torch.softmax(scale_of(q, scale) * q @ k.mT, -1).mT @ v
