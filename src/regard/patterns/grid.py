"""Grid: tokens that lie one stride apart see each other, over the whole picture."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from regard.errors import LayoutError
from regard.patterns._axis import Axis
from regard.patterns._pattern import Pattern, separable
from regard.patterns._space import Place, as_space, fits, per_axis
from regard.registry import method


@method(
    "patterns",
    paper="maxvit",
    claim="equals dilated neighborhood attention whose window reaches over the whole axis",
    source="section 3.2: grid attention",
    needs=(),
    differs="none",
    unit="pairs",
)
def grid(queries: Place, size: int | Sequence[int]) -> Pattern:
    """A token sees `size` tokens on each axis, spread evenly over it: those of its own place in a cell.

    Same place: i mod (L / G) = j mod (L / G), with G = size.

    Raises LayoutError where size does not divide the axis. Source: Tu et al. 2022, "MaxViT".

    >>> import regard as rg
    >>> rg.patterns.grid(6, 3).mask().int()[0]
    tensor([1, 0, 1, 0, 1, 0], dtype=torch.int32)
    """
    space = as_space(queries)
    sizes = per_axis(size, space, "size")
    fits("size", sizes, space)
    if any(n % g for n, g in zip(space.axes, sizes, strict=True)):
        raise LayoutError(f"size = {sizes} does not divide space {space}", hint="a divisor of each axis")
    cells = [n // g for n, g in zip(space.axes, sizes, strict=True)]
    axes = [Axis(n, (0,) * n, (g,) * n, d) for n, g, d in zip(space.axes, sizes, cells, strict=True)]
    return separable(f"grid({space}, {sizes})", space, _same_place, [(d,) for d in cells], axes)


def _same_place(i: Tensor, j: Tensor, cell: int) -> Tensor:
    return i % cell == j % cell
