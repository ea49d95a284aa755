"""Talking heads: logits and weights mixed between heads."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, scale_of
from regard.registry import method


@method(
    "operators",
    paper="talking-heads",
    claim="identity mixing is plain attention; equals timm's talking heads with copied weights",
    source="the paper's definition, with as many heads at each step",
    needs={"q", "k", "v"},
    differs="as many heads of logits, weights and values; mixing matrices are given",
    unit="values",
    kinds="self, cross, causal cross",
)
def talking_heads(
    q: Queries, k: Keys, v: Values, *, before: Tensor | None = None, after: Tensor | None = None,
    scale: float | None = None,
) -> Output:  # fmt: skip
    """P = softmax(before . S), out = (after . P) v, where matrices [H, H] mix heads of logits and of weights.

    before[g, h]: how much of head h's logits goes into head g; None: the identity. scale: 1 / sqrt(D) unless given.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E]. The paper's P_l and P_w, transposed.

    Raises LayoutError where shapes do not fit. Source: Shazeer et al. 2020, "Talking-Heads Attention".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 2, 5, 4)
    >>> mean = rg.operators.talking_heads(q, k, v, after=torch.full((2, 2), 0.5))
    >>> torch.allclose(mean[:, 0], rg.operators.talking_heads(q, k, v[:, [0, 0]], after=torch.full((2, 2), 0.5))[:, 1])
    True
    """
    check(q, k, v)
    for name, mix in (("before", before), ("after", after)):
        if mix is not None and mix.shape != (q.shape[1],) * 2:
            raise LayoutError(f"{name} {list(mix.shape)} for {q.shape[1]} heads", hint="[H, H]")
    logits = scale_of(q, scale) * q @ k.mT
    logits = logits if before is None else torch.einsum("gh,bhqk->bgqk", before.to(q), logits)
    weights = torch.softmax(logits, -1)
    weights = weights if after is None else torch.einsum("gh,bhqk->bgqk", after.to(q), weights)
    return weights @ v
