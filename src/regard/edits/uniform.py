"""Uniform mix: queries that look everywhere alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from regard.core.attend import fused
from regard.core.call import Call, Rule
from regard.core.edit import Edit
from regard.edits._shared import Heads, check_share, on_heads, told
from regard.registry import method


@method(
    "edits",
    paper="sixteen-heads",
    claim="0 is the identity, 1 gives the mean of the values that a query may look at",
    source="the limit of an infinite temperature",
    needs={"v", "out"},
    differs="replaces a head's attention by one that carries no information, instead of its output by nothing",
    unit="share of attention",
)
def uniform(strength: float = 1.0, heads: Heads = None) -> Edit:
    """Mix the attention of heads with the uniform one over the keys that a query may look at.

    P <- (1 - u) P + u U, U_ij = 1 / (number of keys allowed to i) where allowed, else 0. Closed form: the mean of v,
    or the fused kernel with zero queries where something is forbidden. Attention by hand forbids where it is 0.

    Raises EditError for a strength outside 0 .. 1.

    >>> import regard as rg
    >>> rg.edits.uniform()
    uniform(1.0)
    """
    check_share("strength", strength)

    def change(call: Call) -> Call:
        mix = on_heads(call, heads, strength, 0.0)

        def rows(probs: Tensor, start: int, whole: Call) -> Tensor:
            if whole.weights is not None:
                allowed = whole.weights[:, :, start : start + probs.shape[2]] > 0
            else:
                allowed = whole.logits(start, start + probs.shape[2]) > float("-inf")
            flat = allowed.to(probs)
            return probs + mix.to(probs) * (flat / flat.sum(-1, keepdim=True).clamp_min(1.0) - probs)

        def closed(before: Call, product: Callable[[Tensor], Tensor]) -> Tensor | None:
            if before.weights is not None or before.rules or before.on_logits or before.dropout:
                return None
            out = product(before.values)
            if before.may_forbid:
                bias = before.bias
                bias = bias if bias is None or bias.dtype == torch.bool else bias > float("-inf")
                flat = fused(replace(before, q=torch.zeros_like(before.operand("q")), bias=bias))
            else:
                flat = before.values_per_head.mean(2, keepdim=True)
            return out + mix.to(out) * (flat - out)

        return call.with_rule(Rule(rows, closed)) if strength else call

    return Edit(f"uniform({strength}{told(heads)})", change)
