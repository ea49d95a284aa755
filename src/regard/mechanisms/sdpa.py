"""`F.scaled_dot_product_attention`, and the aten overload that exported graphs call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> dict[str, Any] | None:
    """Fields of a `Call` from SDPA's own signature; None where the head axis cannot be known."""
    if not query.ndim == key.ndim == value.ndim == 4:
        return None
    batch = max(query.shape[0], key.shape[0])
    return {
        "mechanism": "sdpa",
        "q": query.expand(batch, -1, -1, -1),
        "k": key.expand(batch, -1, -1, -1),
        "v": value.expand(batch, -1, -1, -1),
        "bias": attn_mask,
        "causal": is_causal,
        "scale": query.shape[-1] ** -0.5 if scale is None else scale,
    }


CALLS: dict[Callable[..., Any], Callable[..., dict[str, Any] | None]] = {
    F.scaled_dot_product_attention: sdpa,
    torch.ops.aten.scaled_dot_product_attention: sdpa,
    torch.ops.aten.scaled_dot_product_attention.default: sdpa,
}
