"""Attention made by hand, `softmax(q k^T) @ v`: which axis holds the heads, and what q and k were."""

from __future__ import annotations

from torch import Tensor

from regard.core.scope import Maker, Parsed
from regard.core.track import Logits, Product
from regard.mechanisms.heads import fits, layout


def eager(product: Product, maker: Maker) -> Parsed | None:
    """Fields of a `Call`; None where the head axis cannot be known."""
    found = layout(tuple(product.weights.shape[:-2]), maker)
    if found is None:
        return None
    weights, values = (found.canonical(t) for t in (product.weights, product.values))
    q, k = operands(product.logits, weights) if len(found.lead) <= 2 else (None, None)
    fields = {"mechanism": "by hand", "q": q, "k": k, "v": values, "weights": weights, "logits_done": product.edited}
    return Parsed(fields, found.canonical, found.raw)


def logits(source: Tensor, maker: Maker) -> Parsed | None:
    """The logits that go into a softmax, while they may still be edited."""
    found = layout(tuple(source.shape[:-2]), maker)
    if found is None:
        return None
    return Parsed({"mechanism": "by hand", "given": found.canonical(source)}, found.canonical, found.raw)


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
