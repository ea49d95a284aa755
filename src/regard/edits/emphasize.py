"""Emphasis: more, or less, attention for a group of keys."""

from __future__ import annotations

import torch

from regard.core.call import Call
from regard.core.edit import Edit
from regard.edits._shared import Heads, Numbers, Tokens, above_zero, chosen_heads, members, on_heads, shown, told
from regard.registry import method


@method(
    "edits",
    paper="pai",
    claim="equals multiplying the weights and renormalising; mass on the keys rises with the gain; 1 is the identity",
    source="eq. 5: larger pre-softmax weights on image tokens",
    needs={"q", "k"},
    differs="a gain on the weights, so log gain on the logits, instead of alpha |s|; any keys, queries, heads",
    unit="logits",
)
def emphasize(keys: Tokens, gain: Numbers, queries: Tokens = None, heads: Heads = None) -> Edit:
    """Multiply attention on chosen keys by a gain and renormalise each row.

    p_ij <- gain p_ij / sum_k gain_k p_ik, which is s_ij + log gain before the softmax: a closed form. A tensor holds
    one gain for each of `heads`.

    Raises EditError for a gain that is not above 0, for tokens or heads that do not exist.
    Source: Liu, Zheng and Chen 2024, "Paying More Attention to Image", eq. 5.

    >>> import regard as rg
    >>> rg.edits.emphasize(keys=range(1, 50), gain=2.0)
    emphasize(2.0)
    """
    by = above_zero(gain, "gain", "above 0; edits.knockout takes all attention away")

    def change(call: Call) -> Call:
        there = members(call, queries, "query")[:, None] & members(call, keys, "key") & chosen_heads(call, heads)
        added = on_heads(call, heads, by, 1.0).log()
        return call.biased(torch.where(there, added, torch.zeros_like(added)))

    return Edit(f"emphasize({shown(by)}{told(heads)})", change)
