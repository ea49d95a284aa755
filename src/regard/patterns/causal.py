"""Causal: no query sees a later key."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from regard.patterns._axis import Axis
from regard.patterns._pattern import Pattern, separable
from regard.patterns._space import Place, as_space, per_axis
from regard.registry import method


@method(
    "patterns",
    paper="transformer",
    claim="the lower triangle on one axis; on several, the product of triangles and free axes",
    source="section 3.2.3: masking out what lies to the right",
    needs=(),
    differs="each axis may be causal or free; prefix tokens see all",
    unit="pairs",
)
def causal(queries: Place, axes: bool | Sequence[bool] = True) -> Pattern:
    """Query i sees key j where j <= i on every causal axis.

    axes: for each axis whether it is causal. `causal((t, h, w), (True, False, False))` is a video's: whole past frames.
    Pictures read as a line of tokens: `causal(h * w)`. Source: Vaswani et al. 2017, "Attention Is All You Need".

    Raises LayoutError for another number of axes.

    >>> import regard as rg
    >>> rg.patterns.causal(3).mask().int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    space = as_space(queries)
    flags = per_axis(axes, space, "axes", least=0)
    made = [
        Axis(n, (0,) * n, tuple(range(1, n + 1)) if one else (n,) * n) for n, one in zip(space.axes, flags, strict=True)
    ]
    told = tuple(map(bool, flags))
    return separable(f"causal({space}, {told})", space, _not_later, [(one,) for one in told], made)


def _not_later(i: Tensor, j: Tensor, is_causal: bool) -> Tensor:
    return (j <= i) | (not is_causal)
