"""What sort of attention a call is, in the field's words."""

from __future__ import annotations

from torch import nn

KINDS = ("self", "cross", "pool", "window", "joint", "channel", "outlook", "sampling", "linear", "softmax")

_BY_CLASS = {"outlook": "outlook", "deformable": "sampling", "linear": "linear", "xca": "channel", "channel": "channel"}


def kind_of(module: nn.Module, site: str, shape: tuple[int, int, int, int], pictures: int, patches: int | None) -> str:
    """The kind of a call of `shape` (batch, heads, queries, keys), made for so many pictures on so many patches.

    What the class says of itself comes first; then shapes tell: one query pools; other keys than queries look
    across, unless they are the same map made coarser; more entries in the batch than pictures are windows; more
    tokens than patches and a prefix are several things side by side.
    """
    named = told_by_class(module)
    if named is not None:
        return named
    batch, _, queries, keys = shape
    if queries == 1 and keys > 1:
        return "pool"
    if queries != keys:
        coarser = queries / keys
        square = coarser > 1 and round(coarser**0.5) ** 2 * keys == queries
        crossing = any(word in site for word in ("cross", "encoder_attn", "attn2", "xattn"))
        return "self" if square and not crossing else "cross"
    if batch > pictures and batch % pictures == 0:
        return "window"
    return "joint" if patches is not None and keys > patches + 16 else "self"


def told_by_class(module: nn.Module) -> str | None:
    """What a module's class is called after, if it is called after a kind of attention."""
    name = type(module).__name__.lower()
    return next((kind for word, kind in _BY_CLASS.items() if word in name), None)
