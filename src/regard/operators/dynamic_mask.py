"""Dynamic mask attention: each key's own score says whether it is looked at, before queries are asked."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, check_count, check_float, scale_of
from regard.registry import method


@method(
    "operators",
    paper="dma",
    claim="keeping all keys is dense attention with a bias; skipping equals masking, in outputs and gradients",
    source="the paper's two steps: scores as a bias, the top-w keys only",
    needs={"q", "k", "v", "importance"},
    differs="the scores, exp(A softplus(v Delta)) in the paper, are given; not causal unless asked",
    unit="values",
    kinds="self, causal self, cross, causal cross",
)
def dynamic_mask(
    q: Queries, k: Keys, v: Values, importance: Tensor, *, keep: int = 16, causal: bool = False,
    form: Literal["skipped", "masked"] = "skipped", scale: float | None = None,
) -> Output:  # fmt: skip
    """softmax(scale q k^T + importance, over the `keep` most important keys that the query may see) v.

    causal: query i sees keys 0..i, and its choice is made among these. form skipped gathers the chosen keys and never
    computes the others; masked is its oracle. scale: 1 / sqrt(D) unless given.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E], importance [B, H, K]; gives [B, H, Q, E].

    Raises LayoutError where shapes do not fit, or keep < 1. Source: Shi et al. 2025, "Trainable Dynamic Mask Sparse
    Attention".

    >>> import regard as rg, torch
    >>> q, k, v = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 3, 4), torch.tensor([1.0, 2.0, 4.0]).view(1, 1, 3, 1)
    >>> rg.operators.dynamic_mask(q, k, v, torch.tensor([[[0.0, 7.0, 7.0]]]), keep=2).flatten()
    tensor([3., 3.])
    """
    check(q, k, v, same_count=causal)
    check_float("importance", importance, "B, H, K")
    check_count("keep", keep, 1)
    if importance.shape != k.shape[:3]:
        raise LayoutError(f"importance {list(importance.shape)} for k {list(k.shape)}", hint=f"{list(k.shape[:3])}")
    if form not in ("skipped", "masked"):
        raise LayoutError(f"form='{form}'", hint="skipped or masked")
    queries, keys, scale = q.shape[2], k.shape[2], scale_of(q, scale)
    rows = importance[:, :, None].expand(-1, -1, queries if causal else 1, -1)
    if causal:
        future = torch.ones(queries, keys, dtype=torch.bool, device=q.device).triu(1)
        rows = rows.masked_fill(future, float("-inf"))
    bias, chosen = rows.topk(min(keep, keys), -1)  # [B, H, Q or 1, keep]
    if form == "masked":
        logits = scale * q @ k.mT + torch.full_like(rows, float("-inf")).scatter(-1, chosen, bias)
        return torch.softmax(logits, -1) @ v
    ks, vs = (x.unsqueeze(2).expand(-1, -1, rows.shape[2], -1, -1) for x in (k, v))
    ks, vs = (x.gather(3, chosen[..., None].expand(-1, -1, -1, -1, x.shape[-1])) for x in (ks, vs))
    per_query = q[:, :, :, None] if causal else q[:, :, None]  # [B, H, Q, 1, D], or all queries of the one choice
    return (torch.softmax(scale * per_query @ ks.mT + bias[..., None, :], -1) @ vs).flatten(2, 3)
