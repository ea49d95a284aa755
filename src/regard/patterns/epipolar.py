"""Epipolar: pixels see the band around their epipolar line in another view."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.patterns._axis import Axis
from regard.patterns._pattern import Held, Pattern, separable
from regard.patterns._space import Place, as_space
from regard.registry import method


@method(
    "patterns",
    paper="epipolar-attention",
    claim="equals the distance from point to line; true matches lie in the band; a wide band is dense",
    source="section 3.2: attention along epipolar lines",
    needs=(),
    differs="a band of cells around the line, where the paper samples points on it",
    unit="pairs",
)
def epipolar(
    queries: Place, keys: Place | None = None, fundamental: Tensor | None = None, band: float = 1.0,
    cell: float = 1.0,
) -> Pattern:  # fmt: skip
    """Query x = (x, y, 1) sees keys x' with |x'^T F x| / |(F x)_12| <= band: at most `band` pixels off its line.

    fundamental: F `[3, 3]` from pixels of the queries' view to lines of the keys'; None: rectified views, where the
    line is the row. cell: side of a token in pixels; its place is its centre, ((x + 0.5) cell, (y + 0.5) cell).
    A query at the epipole has no line and sees all. Queries whose band holds no key see none: give them something
    else to look at (`extra_kv` or `sink` of `regard.attend`).

    Raises LayoutError unless spaces have two axes and F is 3 x 3 and finite. Source: Ye et al. 2025, "Synthesizing
    Consistent Novel Views via 3D Epipolar Attention without Re-Training".

    >>> import regard as rg
    >>> rg.patterns.epipolar((3, 4), band=0.5).count()  # each sees its row
    48
    """
    space = as_space(queries)
    other = space if keys is None else as_space(keys)
    if len(space.axes) != 2 or len(other.axes) != 2:
        raise LayoutError(f"epipolar lines from {space} to {other}", hint="grids of two axes")
    if not band >= 0 or not cell > 0:
        raise LayoutError(f"band = {band}, cell = {cell}", hint="a band of at least 0 pixels, cells larger than 0")
    if fundamental is None:
        rows = Axis(other.axes[0], *_rows(space.axes[0], other.axes[0], band / cell))
        columns = Axis(other.axes[1], (0,) * space.axes[1], (other.axes[1],) * space.axes[1])
        name = f"epipolar({space}, {other}, rectified, band={band})"
        return separable(name, space, _near_row, [(band / cell,), (float("inf"),)], [rows, columns], other)
    if list(fundamental.shape) != [3, 3] or not torch.isfinite(fundamental).all():
        raise LayoutError(f"a fundamental matrix {list(fundamental.shape)}", hint="finite numbers [3, 3]")
    line = Band(Held(fundamental.double()), space.axes[1], other.axes[1], float(band), float(cell))
    return Pattern(f"epipolar({space}, {other}, band={band})", space, other, line)


@dataclass(frozen=True)
class Band:
    """A pair whose key lies at most so far from the line of its query."""

    fundamental: Held
    query_width: int
    key_width: int
    band: float
    cell: float

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        matrix = self.fundamental.tensor.to(query.device)
        lines = self._places(query, self.query_width) @ matrix.T
        off = (lines * self._places(key, self.key_width)).sum(-1).abs()
        return off <= self.band * lines[..., :2].norm(dim=-1)  # times the length: at the epipole both are 0

    def _places(self, index: Tensor, width: int) -> Tensor:
        y, x = torch.div(index, width, rounding_mode="floor"), index % width
        return torch.stack([(x + 0.5) * self.cell, (y + 0.5) * self.cell, torch.ones_like(x)], -1).double()


def _rows(queries: int, keys: int, reach: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    r = int(min(reach, queries + keys))
    lo = tuple(min(keys, max(0, i - r)) for i in range(queries))
    return lo, tuple(max(a, min(keys, i + r + 1)) for i, a in enumerate(lo))


def _near_row(i: Tensor, j: Tensor, reach: float) -> Tensor:
    return (i - j).abs() <= reach
