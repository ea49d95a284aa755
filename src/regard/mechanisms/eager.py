"""Attention made by hand, `softmax(q k^T) @ v`: which axis holds the heads, and what q and k were."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from regard.core.track import Logits, Product

HEADS = ("num_heads", "num_attention_heads", "n_heads", "heads", "nhead")  # what modules call their number


def eager(product: Product, module: nn.Module) -> dict[str, Any] | None:
    """Fields of a `Call`; None where the head axis cannot be known.

    Weights `[B, H, Q, K]` are as they are; `[B H, Q, K]` are told apart by the module's own number of heads.
    """
    weights, values = product.weights, product.values
    if weights.ndim == 3:
        heads = number_of_heads(module)
        if heads is None or weights.shape[0] % heads:
            return None
        weights = weights.unflatten(0, (-1, heads))
    if weights.ndim != 4:
        return None
    lead = weights.shape[:2]
    values = values.expand(*product.weights.shape[:-2], *values.shape[-2:]).reshape(*lead, *values.shape[-2:])
    q, k = operands(product.logits, weights)
    return {"mechanism": "by hand", "q": q, "k": k, "v": values, "weights": weights}


def operands(logits: Logits | None, weights: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """q `[B, H, Q, D]` and k `[B, H, K, D]`, if the product behind the weights was one of theirs."""
    if logits is None:
        return None, None
    left, right = logits.left, logits.right.transpose(-1, -2)
    fits = (
        math.prod(left.shape[:-2]) == math.prod(right.shape[:-2]) == math.prod(weights.shape[:2])
        and left.shape[-2] == weights.shape[-2]
        and right.shape[-2] == weights.shape[-1]
    )
    if not fits:
        return None, None
    lead = weights.shape[:2]
    return left.reshape(*lead, *left.shape[-2:]), right.reshape(*lead, *right.shape[-2:])


def number_of_heads(module: nn.Module) -> int | None:
    """What a module says of itself."""
    for name in HEADS:
        number = getattr(module, name, None)
        if isinstance(number, int) and number > 0:
            return number
    return None
