"""Bias: any number added to the logits."""

from __future__ import annotations

from torch import Tensor

from regard.core.call import Call
from regard.core.edit import Edit
from regard.edits._shared import Heads, chosen_heads, told
from regard.errors import EditError
from regard.registry import method


@method(
    "edits",
    paper="swin",
    claim="equals softmax(logits + bias) by hand; its gradient reaches the bias",
    source="eq. 4: attention with a relative position bias B",
    needs={"q", "k"},
    differs="added to whatever bias the model has",
    unit="logits",
)
def bias(values: Tensor, heads: Heads = None) -> Edit:
    """Add a bias to the logits of heads.

    p = softmax(s + b), b broadcasting to `[B, H, Q, K]`; a bool tensor forbids where it is False. Closed form.

    Raises EditError for a shape that does not broadcast, or heads that do not exist. Source: Liu et al. 2021,
    "Swin Transformer", eq. 4.

    >>> import regard as rg, torch
    >>> rg.edits.bias(torch.zeros(5, 5))
    bias([5, 5])
    """

    def change(call: Call) -> Call:
        try:
            full = values.to(call.device).expand(call.batch, call.heads, call.queries, call.keys)
        except RuntimeError:
            shape = [call.batch, call.heads, call.queries, call.keys]
            raise EditError(
                f"a bias of {list(values.shape)} does not broadcast to {shape} at {call.site}", hint="[Q, K], say"
            ) from None
        if heads is None:
            return call.biased(values.to(call.device))
        neutral = True if values.dtype.is_floating_point is False else 0.0
        return call.biased(full.masked_fill(~chosen_heads(call, heads), neutral))

    return Edit(f"bias({list(values.shape)}{told(heads)})", change)
