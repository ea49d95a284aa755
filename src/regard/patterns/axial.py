"""Axial: tokens see those that differ from them on one axis only."""

from __future__ import annotations

from torch import Tensor

from regard.errors import LayoutError
from regard.patterns._axis import Axis
from regard.patterns._pattern import Pattern, separable
from regard.patterns._space import Place, as_space
from regard.registry import method


@method(
    "patterns",
    paper="axial-attention",
    claim="equals dense attention on each row (or column) by itself",
    source="section 3.1",
    needs=(),
    differs="none",
    unit="pairs",
)
def axial(queries: Place, axis: int = -1) -> Pattern:
    """A token sees the tokens of its own line along `axis`: 0 columns, 1 rows of a picture; 0 time of a video.

    Raises LayoutError for an axis that is not there. Source: Ho et al. 2019, "Axial Attention in Multidimensional
    Transformers".

    >>> import regard as rg
    >>> rg.patterns.axial((2, 3), axis=0).mask().int()[1]
    tensor([0, 1, 0, 0, 1, 0], dtype=torch.int32)
    """
    space = as_space(queries)
    count = len(space.axes)
    if not -count <= axis < count:
        raise LayoutError(f"no axis {axis} in space {space}", hint=f"0 .. {count - 1}")
    free = [at == axis % count for at in range(count)]
    axes = [
        Axis(n, (0,) * n if all_of_it else tuple(range(n)), (n,) * n if all_of_it else tuple(range(1, n + 1)))
        for n, all_of_it in zip(space.axes, free, strict=True)
    ]
    return separable(f"axial({space}, {axis % count})", space, _in_line, [(one,) for one in free], axes)


def _in_line(i: Tensor, j: Tensor, free: bool) -> Tensor:
    return (i == j) | free
