"""Windows of an attention call, and the way back to the picture: Swin and its kin.

Models cut their map of tokens into windows after rolling it (every second layer), so a call's batch counts pictures
and windows. What is needed is on the modules: the window's size, and how far the map was rolled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from regard.layout import Grid, Windows

HALVINGS = 5  # how often a model may have halved its map of patches


def windows(
    around: Sequence[nn.Module], batch: int, queries: int, keys: int, pictures: int, patches: tuple[int, int] | None
) -> Windows | None:
    """The windows of a self-attention call made in `around[0]`, inside of the others; None if it has none, or unclear.

    patches: (h, w) of the patch embedding; the map has been halved until as many windows fit as the call has.
    """
    size = next((pair(m.window_size) for m in around if hasattr(m, "window_size")), None)
    if size is None or queries != keys or size[0] * size[1] != queries or batch <= pictures or batch % pictures:
        return None
    count = batch // pictures
    told = next((pair(m.input_resolution) for m in around if hasattr(m, "input_resolution")), None)
    halved = [] if patches is None else [(-(-patches[0] // 2**s), -(-patches[1] // 2**s)) for s in range(HALVINGS)]
    fitting = [Grid(*map_) for map_ in dict.fromkeys([*halved, told]) if map_ and _count(map_, size) == count]
    if len(fitting) > 1 and told is not None:
        fitting = [grid for grid in fitting if (grid.h, grid.w) == told]
    if len(fitting) != 1:
        return None
    rolled = next((pair(m.shift_size) for m in around if hasattr(m, "shift_size")), None) or (0, 0)
    grid = fitting[0]
    return Windows(grid, size, (rolled[0] if size[0] < grid.h else 0, rolled[1] if size[1] < grid.w else 0))


def _count(sides: tuple[int, int], size: tuple[int, int]) -> int:
    return -(-sides[0] // size[0]) * -(-sides[1] // size[1])


def pair(value: Any) -> tuple[int, int] | None:
    """One number stands for both sides."""
    if isinstance(value, int):
        return value, value
    if isinstance(value, Sequence) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return value[0], value[1]
    return None
