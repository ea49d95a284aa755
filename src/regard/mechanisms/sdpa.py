"""`F.scaled_dot_product_attention`, and the aten overload that exported graphs call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.core.scope import Maker, Parsed
from regard.mechanisms.heads import common, layout, number_of_heads


def packed(module: nn.Module, query: Tensor, key: Tensor) -> bool:
    """Whether `[B, Hk, groups, D]` holds one query of each head: so transformers decodes with grouped keys and a mask.

    The shape alone does not tell it from `groups` queries of `Hk` heads; the heads that the module should have do.
    """
    groups = getattr(module, "num_key_value_groups", 1)
    heads = number_of_heads(module) or number_of_heads(getattr(module, "config", None))
    if not isinstance(groups, int) or groups < 2 or heads is None or query.ndim != 4:
        return False
    return query.shape[1] == key.shape[1] == heads // groups and query.shape[2] == groups


def unpack(x: Tensor) -> Tensor:
    """`[B, Hk, groups, D]` to `[B, H, 1, D]`."""
    return x.flatten(1, 2).unsqueeze(2)


def sdpa(
    maker: Maker,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Parsed | None:
    """Fields of a `Call` from SDPA's own signature; None where the head axis cannot be known."""
    if packed(maker.module, query, key):
        mask = None if attn_mask is None else unpack(attn_mask.expand(*query.shape[:3], key.shape[2]))
        made = sdpa(maker, unpack(query), key, value, mask, dropout_p, is_causal, scale=scale)
        groups = query.shape[1:3]
        return made and Parsed(
            made.fields, lambda x: made.canonical(unpack(x)), lambda x: made.raw(x).squeeze(2).unflatten(1, groups)
        )
    lead = common(query.shape, key.shape, value.shape)
    if lead is None:
        return None
    found = layout(lead, maker)
    if found is None:
        return None
    if len(lead) == 2:  # with grouped queries, keys and values have heads of their own
        q, k, v = (x.expand(lead[0], -1, -1, -1) for x in (query, key, value))
        bias = attn_mask
    else:
        q, k, v = (found.canonical(x) for x in (query, key, value))
        bias = None if attn_mask is None else found.canonical(attn_mask.expand(*lead, q.shape[2], k.shape[2]))
    fields = {
        "mechanism": "sdpa",
        "q": q,
        "k": k,
        "v": v,
        "bias": bias,
        "causal": is_causal,
        "scale": query.shape[-1] ** -0.5 if scale is None else scale,
        "dropout": dropout_p,
    }
    return Parsed(fields, found.canonical, found.raw)


CALLS: dict[Callable[..., Any], Callable[..., Parsed | None]] = {
    F.scaled_dot_product_attention: sdpa,
    torch.ops.aten.scaled_dot_product_attention: sdpa,
    torch.ops.aten.scaled_dot_product_attention.default: sdpa,
}
