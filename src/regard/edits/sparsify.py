"""Sparsify: what would be lost if each query looked at its best keys only."""

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
    paper="topk-attention",
    claim="equals masking all but the top k by hand; k = number of keys is the identity",
    source="section 2: top-k attention",
    needs={"probs"},
    differs="each query keeps its own keys; no kernel is faster for it: a what-if, not a speed-up",
    unit="share of attention",
)
def sparsify(keep: int, heads: Heads = None) -> Edit:
    """Keep the `keep` largest weights of each query and renormalise them.

    p_ij <- p_ij [j in top-k of row i] / sum of those. Computed in blocks of rows. Ties are cut as torch.topk does.

    Raises EditError for keep < 1. Source: Gupta et al. 2021, "Memory-efficient
    Transformers via Top-k Attention", section 2.

    >>> import regard as rg
    >>> rg.edits.sparsify(16)
    sparsify(16)
    """
    if keep < 1:
        raise EditError(f"keep = {keep} leaves nothing to look at", hint="1 .. number of keys")

    def change(call: Call) -> Call:
        there = chosen_heads(call, heads)

        def rows(probs: Tensor, _: int, __: Call) -> Tensor:
            if keep >= probs.shape[-1]:
                return probs
            best = probs.topk(keep, dim=-1)
            sparse = torch.zeros_like(probs).scatter(-1, best.indices, best.values)
            total = sparse.sum(-1, keepdim=True)
            return torch.where(there, sparse / total.where(total > 0, torch.ones_like(total)), probs)

        return call.with_rule(Rule(rows))

    return Edit(f"sparsify({keep}{told(heads)})", change)
