"""Quantize: what would be lost if attention weights had few bits."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.core.call import Call, Rule
from regard.core.edit import Edit
from regard.edits._shared import Heads, chosen_heads, told
from regard.errors import EditError
from regard.registry import method


@method(
    "edits",
    paper="ptq4vit",
    claim="weights are multiples of 1 / (2^bits - 1), each within half a step of what it was",
    source="section 3.1: uniform quantisation of what softmax gives",
    needs={"probs"},
    differs="a what-if of any bits; nothing runs in integers",
    unit="share of attention",
)
def quantize(bits: int, heads: Heads = None) -> Edit:
    """Round attention weights to 2^bits levels between 0 and 1; rows are not renormalised.

    p <- round(p n) / n, n = 2^bits - 1. Gradients pass straight through. Computed in blocks of rows.

    Raises EditError for bits outside 1 .. 16. Source: Yuan et al. 2022, "PTQ4ViT", section 3.1.

    >>> import regard as rg
    >>> rg.edits.quantize(4)
    quantize(4)
    """
    if not 1 <= bits <= 16:
        raise EditError(f"{bits} bits", hint="1 .. 16")
    levels = 2**bits - 1

    def change(call: Call) -> Call:
        there = chosen_heads(call, heads)

        def rows(probs: Tensor, _: int, __: Call) -> Tensor:
            rounded = probs + ((probs * levels).round() / levels - probs).detach()
            return torch.where(there, rounded, probs)

        return call.with_rule(Rule(rows))

    return Edit(f"quantize({bits}{told(heads)})", change)
