"""Sliding: the keys at most so far before and after each query, cut off at the border."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from regard.patterns._axis import Axis
from regard.patterns._pattern import Pattern, separable
from regard.patterns._space import Place, as_space, per_axis
from regard.registry import method


@method(
    "patterns",
    paper="longformer",
    claim="inside, it is neighborhood attention; at the border it has fewer keys",
    source="section 3.1: sliding window attention",
    needs=(),
    differs="none",
    unit="pairs",
)
def sliding(queries: Place, before: int | Sequence[int], after: int | Sequence[int] | None = None) -> Pattern:
    """Query i sees keys i - before .. i + after on each axis, as far as there are any; after: as before, if not given.

    Raises LayoutError for another number of axes. Source: Beltagy et al. 2020, "Longformer".

    >>> import regard as rg
    >>> rg.patterns.sliding(4, 1, 0).mask().int()
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [0, 1, 1, 0],
            [0, 0, 1, 1]], dtype=torch.int32)
    """
    space = as_space(queries)
    back = per_axis(before, space, "before", least=0)
    ahead = back if after is None else per_axis(after, space, "after", least=0)
    facts = list(zip(back, ahead, strict=True))
    axes = [
        Axis(n, tuple(max(0, i - b) for i in range(n)), tuple(min(n, i + a + 1) for i in range(n)))
        for n, (b, a) in zip(space.axes, facts, strict=True)
    ]
    return separable(f"sliding({space}, {back}, {ahead})", space, _within, facts, axes)


def _within(i: Tensor, j: Tensor, before: int, after: int) -> Tensor:
    return (i - j <= before) & (j - i <= after)
