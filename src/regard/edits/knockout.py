"""Knock-out: edges from some queries to some keys that are cut."""

from __future__ import annotations

from regard.core.call import Call
from regard.core.edit import Edit
from regard.edits._shared import Heads, Tokens, chosen_heads, members, told
from regard.registry import method


@method(
    "edits",
    paper="vlm-deep-dive",
    claim="cut edges carry exactly zero weight, and each row sums to 1 again",
    source="section 4: attention knockout between groups of tokens",
    needs={"q", "k"},
    differs="none",
    unit="logits",
)
def knockout(keys: Tokens, queries: Tokens = None, heads: Heads = None) -> Edit:
    """Forbid chosen queries (None: all, which masks the keys) to look at chosen keys.

    s_ij <- -inf for i in queries, j in keys; what is left is renormalised by the softmax. A query with no key left
    gets zeros, as torch does. Tokens are indices (negative from the end) or a bool mask. Closed form: a mask.

    Raises EditError for tokens or heads that do not exist. Source: Kaduri et al. 2025, "What's in the Image? A
    Deep-Dive into the Vision of Vision Language Models", section 4.

    >>> import regard as rg
    >>> rg.edits.knockout(keys=[0], heads=[1])
    knockout(heads=[1])
    """

    def change(call: Call) -> Call:
        cut = members(call, queries, "query")[:, None] & members(call, keys, "key")
        return call.biased(~(cut & chosen_heads(call, heads)))

    return Edit(f"knockout({told(heads)[2:]})", change)
