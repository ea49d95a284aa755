"""Which axis of attention's operands holds the heads: `[..., N, D]` to the canonical `[B, H, N, D]`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from regard.core.scope import Maker

HEADS = ("num_heads", "num_attention_heads", "n_heads", "heads", "nhead")  # what modules call their number


@dataclass(frozen=True)
class Layout:
    """The leading axes of a call, and which of them holds the heads (None: heads are merged into the only one)."""

    lead: tuple[int, ...]
    axis: int | None
    heads: int

    def canonical(self, x: Tensor) -> Tensor:
        """`[B, H, N, D]`: windows and other groups of queries are counted into the batch."""
        x = x.expand(*self.lead, *x.shape[-2:])
        if self.axis is None:
            return x.unflatten(0, (-1, self.heads))
        return x.movedim(self.axis, -3).flatten(0, -4) if len(self.lead) > 2 else x

    def raw(self, x: Tensor) -> Tensor:
        """The model's own layout again."""
        if self.axis is None:
            return x.flatten(0, 1)
        if len(self.lead) <= 2:
            return x
        rest = [size for axis, size in enumerate(self.lead) if axis != self.axis]
        return x.unflatten(0, rest).movedim(-3, self.axis)


def layout(lead: tuple[int, ...], maker: Maker) -> Layout | None:
    """Two leading axes are batch and heads. Else the module's own number of heads tells; None if it does not.

    None also where the module has other heads than the second of two axes, which may all be in the first. One axis
    is both, if whole batches are left when heads are split off; if not, and it is a batch, it has one head.
    """
    heads = number_of_heads(maker.module)
    if len(lead) == 2:
        elsewhere = heads is not None and lead[1] != heads and lead[0] % heads == 0
        return None if elsewhere else Layout(lead, 1, lead[1])
    if len(lead) == 1:
        if heads is not None and lead[0] % heads == 0 and _whole(lead[0] // heads, maker):
            return Layout(lead, None, heads)
        return Layout(lead, None, 1) if lead[0] in maker.batches else None
    if heads is None or not lead:
        return None
    fitting = [axis for axis in range(1, len(lead)) if lead[axis] == heads]
    return Layout(lead, fitting[0], heads) if len(fitting) == 1 else None


def _whole(count: int, maker: Maker) -> bool:
    """Whether so many are whole batches of what the model was given. (torch's module knows its heads for certain.)"""
    sure = not maker.batches or isinstance(maker.module, nn.MultiheadAttention)
    return sure or any(count % size == 0 for size in maker.batches)


def common(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    """Leading axes that all operands broadcast to; None where their number differs, or they do not.

    Of two axes the second may differ all the same: grouped queries have more heads than their keys.
    """
    if len({len(shape) for shape in shapes}) != 1:
        return None
    sizes = list(zip(*(shape[:-2] for shape in shapes), strict=True))
    if len(sizes) != 2 and any(size not in (1, max(axis)) for axis in sizes for size in axis):
        return None
    return tuple(max(axis) for axis in sizes)


def number_of_heads(module: object) -> int | None:
    """What a module, or its configuration, says of itself."""
    for name in HEADS:
        number = getattr(module, name, None)
        if isinstance(number, int) and number > 0:
            return number
    return None


def fits(x: Tensor, weights: Tensor) -> bool:
    """Whether an operand `[..., N, D]` has as many leading entries as canonical weights."""
    return math.prod(x.shape[:-2]) == math.prod(weights.shape[:2])
