"""Window: tokens see those of their own window; shifted windows without rolling anything."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from regard.patterns._axis import Axis
from regard.patterns._pattern import Pattern, separable
from regard.patterns._space import Place, as_space, fits, per_axis
from regard.registry import method


@method(
    "patterns",
    paper="swin",
    claim="equals Swin's roll, window partition and region mask",
    source="section 3.2: shifted window partitioning",
    needs=(),
    differs="the last window of an axis may be smaller, where Swin pads",
    unit="pairs",
)
def window(queries: Place, size: int | Sequence[int], shift: int | Sequence[int] = 0) -> Pattern:
    """Tokens of the same window see each other; windows of `size` begin at `shift - size, shift, shift + size, ...`.

    Same window on an axis: floor((i + w - s) / w) is the same: Swin's cyclic shift by s with its region mask.

    Raises LayoutError for a window larger than the axis. Source: Liu et al. 2021, "Swin Transformer".

    >>> import regard as rg
    >>> rg.patterns.window(5, 2, shift=1).mask().int()[:3]
    tensor([[1, 0, 0, 0, 0],
            [0, 1, 1, 0, 0],
            [0, 1, 1, 0, 0]], dtype=torch.int32)
    """
    space = as_space(queries)
    sizes, shifts = per_axis(size, space, "size"), per_axis(shift, space, "shift", least=0)
    fits("size", sizes, space)
    facts = [(w, s % w) for w, s in zip(sizes, shifts, strict=True)]
    moved = f", shift={shifts}" if any(shifts) else ""
    axes = [_axis(n, w, s) for n, (w, s) in zip(space.axes, facts, strict=True)]
    return separable(f"window({space}, {sizes}{moved})", space, _together, facts, axes)


def _axis(length: int, w: int, s: int) -> Axis:
    first = s - w if s else 0
    edges = [*range(first, length, w), length]
    lo, hi = [], []
    for start, stop in zip(edges, [min(e + w, length) for e in edges[:-1]], strict=False):
        inside = min(stop, length) - max(start, 0)
        lo += [max(start, 0)] * inside
        hi += [min(stop, length)] * inside
    return Axis(length, tuple(lo), tuple(hi))


def _together(i: Tensor, j: Tensor, w: int, s: int) -> Tensor:
    return (i + w - s) // w == (j + w - s) // w
