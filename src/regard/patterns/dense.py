"""Dense: every query sees every key."""

from __future__ import annotations

from torch import Tensor

from regard.patterns._axis import Axis
from regard.patterns._pattern import Pattern, separable
from regard.patterns._space import Place, as_space
from regard.registry import method


@method(
    "patterns",
    paper="transformer",
    claim="attention with it equals attention without a pattern",
    source="eq. 1, without a mask",
    needs=(),
    differs="none",
    unit="pairs",
)
def dense(queries: Place, keys: Place | None = None) -> Pattern:
    """Every query sees every key, also of another space (cross attention).

    queries, keys: a Grid, a number of tokens or a tuple of lengths. Source: Vaswani et al. 2017, "Attention Is All
    You Need", section 3.2.1.

    >>> import regard as rg
    >>> rg.patterns.dense((2, 3), 4).count()
    24
    """
    space = as_space(queries)
    if keys is None:
        axes = [Axis(n, (0,) * n, (n,) * n) for n in space.axes]
        return separable(f"dense({space})", space, _everywhere, [()] * len(axes), axes)
    other = as_space(keys)
    if len(space.axes) == len(other.axes):
        axes = [Axis(m, (0,) * n, (m,) * n) for n, m in zip(space.axes, other.axes, strict=True)]
        return separable(f"dense({space}, {other})", space, _everywhere, [()] * len(axes), axes, other)
    return Pattern(f"dense({space}, {other})", space, other, _everywhere)


def _everywhere(i: Tensor, j: Tensor) -> Tensor:
    return (i == i) & (j == j)
