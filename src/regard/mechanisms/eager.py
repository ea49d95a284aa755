"""Attention made by hand, `softmax(q k^T) @ v`: which axis holds the heads, and what q and k were."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from regard.core.track import Logits, Product
from regard.mechanisms.heads import fits, layout


def eager(product: Product, module: nn.Module) -> dict[str, Any] | None:
    """Fields of a `Call` with its output; None where the head axis cannot be known."""
    found = layout(tuple(product.weights.shape[:-2]), module)
    if found is None:
        return None
    weights, values, out = (found.canonical(t) for t in (product.weights, product.values, product.out))
    q, k = operands(product.logits, weights) if len(found.lead) <= 2 else (None, None)
    return {"mechanism": "by hand", "q": q, "k": k, "v": values, "weights": weights, "out": out}


def operands(logits: Logits | None, weights: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """q `[B, H, Q, D]` and k `[B, H, K, D]`, if the product behind the weights was one of theirs."""
    if logits is None:
        return None, None
    left, right = logits.left, logits.right.transpose(-1, -2)
    sizes = left.shape[-2] == weights.shape[-2] and right.shape[-2] == weights.shape[-1]
    if not (sizes and fits(left, weights) and fits(right, weights)):
        return None, None
    lead = weights.shape[:2]
    return left.reshape(*lead, *left.shape[-2:]), right.reshape(*lead, *right.shape[-2:])
