"""What stimuli share: shapes as signed distances, cells with jitter, and the picture with its masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.errors import LayoutError

Shape = Callable[[Tensor, Tensor], Tensor]  # (x, y) in units, y down -> signed distance, negative inside
Colour = tuple[float, float, float]
GREEN, RED = (0.2, 0.65, 0.2), (0.85, 0.25, 0.25)
BACKGROUND = 0.5


@dataclass(frozen=True, eq=False)
class Stimulus:
    """A picture [3, H, W] in 0..1 and where its target and its distractors are, [H, W] each; empty if there is none."""

    picture: Float[Tensor, "3 H W"]
    target: Bool[Tensor, "H W"]
    distractors: Bool[Tensor, "H W"]
    box: tuple[int, int, int, int] | None = None  # of the target's cell: left, top, right, bottom in pixels
    told: str = ""

    def __repr__(self) -> str:
        height, width = self.target.shape
        place = f"target in {self.box}" if self.box else f"target of {int(self.target.sum())} pixels"
        return f"Stimulus({self.told or 'array'}, {height} x {width}, {place if self.target.any() else 'no target'})"


class Item(NamedTuple):
    """One thing to draw: a shape in units of which the cell has 2, its colour, or a shading over (x, y) instead."""

    shape: Shape
    colour: Colour = GREEN
    turned: float = 0.0  # degrees, clockwise on the screen
    shading: Callable[[Tensor, Tensor], Tensor] | None = None


def array(
    target: Item | None, others: Sequence[Item], *, cells: int, size: int, side: int, jitter: float, seed: int
) -> Stimulus:
    """`size` items in cells of `side` pixels, one of them the target, in places drawn with `seed`.

    others: what distractors are drawn from, in equal shares; jitter: of each item's place, as a share of its cell. The
    target is never in an outermost cell where there are others. Without a target all are distractors.
    """
    if not 1 <= size <= cells**2 or side < 8 or not 0 <= jitter <= 0.25 or not others:
        raise LayoutError(
            f"{size} items in {cells} x {cells} cells of {side} pixels, jitter {jitter}",
            hint="at most one a cell, cells of 8 pixels or more, jitter in 0..0.25",
        )
    g = torch.Generator().manual_seed(seed)
    inner = [r * cells + c for r in range(1, cells - 1) for c in range(1, cells - 1)] or list(range(cells**2))
    home = inner[int(torch.randint(len(inner), (1,), generator=g))]
    free = [c for c in torch.randperm(cells**2, generator=g).tolist() if target is None or c != home]
    chosen = free[: size - (target is not None)]
    picture = torch.full((3, cells * side, cells * side), BACKGROUND)
    masks = torch.zeros(2, cells * side, cells * side, dtype=torch.bool)
    placed = [] if target is None else [(home, target, 0)]
    placed += [(cell, others[i % len(others)], 1) for i, cell in enumerate(chosen)]
    for cell, item, which in placed:
        dx, dy = ((torch.rand(2, generator=g) * 2 - 1) * jitter * 2).tolist()
        top, left = cell // cells * side, cell % cells * side
        window = (slice(top, top + side), slice(left, left + side))
        cover = draw(picture[(slice(None), *window)], item, (dx, dy))
        masks[(which, *window)] = cover
    row, column = home // cells * side, home % cells * side
    box = None if target is None else (column, row, column + side, row + side)
    return Stimulus(picture, masks[0], masks[1], box)


def draw(canvas: Float[Tensor, "3 h w"], item: Item, at: tuple[float, float] = (0.0, 0.0)) -> Bool[Tensor, "h w"]:
    """Paint an item on a square canvas from -1 to 1, its edges a pixel wide; gives where it is."""
    side = canvas.shape[-1]
    steps = ((torch.arange(side) + 0.5) / side * 2 - 1).double()
    y, x = torch.meshgrid(steps - at[1], steps - at[0], indexing="ij")
    c, s = math.cos(math.radians(item.turned)), math.sin(math.radians(item.turned))
    x, y = x * c + y * s, -x * s + y * c
    cover = (0.5 - item.shape(x, y) * side / 2).clamp(0, 1).float()
    paint = torch.tensor(item.colour)[:, None, None].expand_as(canvas)
    if item.shading is not None:
        paint = item.shading(x, y).float().expand_as(canvas)
    canvas.copy_(canvas + cover * (paint - canvas))
    return cover > 0.5


def disc(radius: float, *, cx: float = 0.0, cy: float = 0.0) -> Shape:
    """All within a radius."""
    return lambda x, y: torch.hypot(x - cx, y - cy) - radius


def ring(radius: float, width: float) -> Shape:
    """A circle of a line's width."""
    return lambda x, y: (torch.hypot(x, y) - radius).abs() - width / 2


def bar(length: float, width: float, *, cx: float = 0.0, cy: float = 0.0, turned: float = 0.0) -> Shape:
    """An upright bar, turned by degrees clockwise about its middle."""
    c, s = math.cos(math.radians(turned)), math.sin(math.radians(turned))

    def distance(x: Tensor, y: Tensor) -> Tensor:
        across, along = (x - cx) * c + (y - cy) * s, -(x - cx) * s + (y - cy) * c
        return torch.maximum(across.abs() - width / 2, along.abs() - length / 2)

    return distance


def both(*shapes: Shape) -> Shape:
    """What is in any of them."""
    return lambda x, y: torch.stack([shape(x, y) for shape in shapes]).amin(0)


def without(shape: Shape, cut: Shape) -> Shape:
    """The first but for the second."""
    return lambda x, y: torch.maximum(shape(x, y), -cut(x, y))


def wedge(half: float, *, turned: float = 0.0) -> Shape:
    """All within `half` degrees of a direction from the middle, 0 to the right, clockwise."""
    c, s = math.cos(math.radians(turned)), math.sin(math.radians(turned))

    def distance(x: Tensor, y: Tensor) -> Tensor:
        along, across = x * c + y * s, (-x * s + y * c).abs()
        edge = across * math.cos(math.radians(half)) - along * math.sin(math.radians(half))
        return torch.where(along > 0, edge, torch.hypot(x, y)) if half <= 90 else edge

    return distance
