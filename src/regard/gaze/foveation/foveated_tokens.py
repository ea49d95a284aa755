"""Foveated tokens: patches that grow away from the gaze, so that a transformer reads fewer of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regard.errors import LayoutError
from regard.gaze.foveation._shared import Fixation, Pictures, single
from regard.registry import method


@dataclass(frozen=True, eq=False)
class Tokens:
    """Patches at p x p pixels [B, N, C, p, p], the corner (x, y) and side of each in pixels of the picture."""

    pictures: Float[Tensor, "b n c p p"]
    corners: Int[Tensor, "n 2"]
    sides: Int[Tensor, " n"]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.sides)

    def __repr__(self) -> str:
        sides = ", ".join(str(side) for side in sorted(set(self.sides.tolist())))
        patch, (height, width) = self.pictures.shape[-1], self.size
        return f"Tokens({len(self)} of {patch} x {patch}, cells of {sides} pixels, {height} x {width})"

    def embedded(self, weight: Float[Tensor, "d c p p"], bias: Float[Tensor, " d"] | None = None) -> Tensor:
        """Tokens [B, N, D] by a patch embedding's convolution."""
        found = self.pictures.flatten(2) @ weight.flatten(1).T
        return found if bias is None else found + bias

    def placed(self, table: Float[Tensor, "h w d"]) -> Float[Tensor, "n d"]:
        """Each token's position embedding: the mean of the rows of the smallest patches that it covers."""
        patch = self.pictures.shape[-1]
        if tuple(table.shape[:2]) != tuple(side // patch for side in self.size):
            raise LayoutError(
                f"positions {list(table.shape)} for {self.size} in patches of {patch}", hint="[h, w, D], resized first"
            )
        sums = torch.nn.functional.pad(table.double().cumsum(0).cumsum(1), (0, 0, 1, 0, 1, 0))
        (left, top), cells = (self.corners // patch).T, self.sides // patch
        right, bottom = left + cells, top + cells
        total = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        return (total / (cells**2)[:, None]).to(table)

    def rebuilt(self) -> Pictures:
        """The picture [B, C, H, W] out of its patches, linear between and beyond their pixels."""
        b, _, c, patch, _ = self.pictures.shape
        whole = self.pictures.new_zeros(b, c, *self.size)
        for side in self.sides.unique().tolist():
            grow = _growing(patch, side).to(whole)
            which = (self.sides == side).nonzero()[:, 0]
            grown = grow @ self.pictures[:, which] @ grow.T
            for at, (x, y) in enumerate(self.corners[which].tolist()):
                whole[..., y : y + side, x : x + side] = grown[:, at]
        return whole


@method(
    "gaze.foveation",
    paper="segment-this-thing",
    claim="equal patches where nothing is split; a linear picture is rebuilt exactly",
    source="written from the idea of foveated tokenisers",
    needs={"x", "fixation"},
    differs="a quadtree in the place of their fixed pattern",
    unit="colour",
)
def foveated_tokens(x: Pictures, fixation: Fixation, *, patch: int = 14, levels: int = 3, reach: float = 1.0) -> Tokens:
    """A quadtree about the gaze: cells of patch 2^(levels - 1) pixels, split in four wherever it looks.

    A cell is split while its distance from the fixation is at most `reach` times its side; each leaf becomes patch x
    patch means. Every split adds three tokens: N = H W / largest^2 + 3 splits. levels=1, or reach=inf, are the equal
    patches of a ViT in their usual order.

    x [B, C, H, W] with sides divisible by the largest cell; fixation (x, y) in pixels, one for all pictures: their
    number of tokens depends on it. Differentiable in x; the cells jump with the fixation.
    Raises LayoutError, DegenerateError, ImageError. Source: written from the idea of foveated tokenisers
    (Schmidt et al. 2025, "Segment This Thing"), with a quadtree in the place of their fixed pattern.

    >>> import torch
    >>> seen = foveated_tokens(torch.zeros(1, 3, 64, 64), (8.0, 8.0), patch=8, levels=3, reach=0.5)
    >>> len(seen), sorted(set(seen.sides.tolist()))
    (16, [8, 16, 32])
    """
    at = single(fixation, x)[0].detach().tolist()
    if single(fixation, x).unique(dim=0).shape[0] > 1:
        raise LayoutError("pictures with different fixations have different tokens", hint="one picture at a time")
    largest = patch * 2 ** (levels - 1)
    height, width = x.shape[-2:]
    if patch < 2 or levels < 1 or reach < 0 or height % largest or width % largest:
        raise LayoutError(
            f"{height} x {width} in cells of {patch} x 2^{levels - 1} = {largest} pixels, reach {reach}",
            hint="sides divisible by the largest cell; patch 2 or more, levels 1 or more, reach not negative",
        )
    leaves: list[tuple[int, int, int]] = []
    open_cells = [(row, column, largest) for row in range(0, height, largest) for column in range(0, width, largest)]
    while open_cells:
        y, left, side = open_cells.pop()
        away = math.hypot(*(max(low - g, 0.0, g - low - side) for g, low in zip(at, (left, y), strict=True)))
        if side == patch or away > reach * side:
            leaves.append((y, left, side))
        else:
            half = side // 2
            open_cells += [(y + dy, left + dx, half) for dy in (0, half) for dx in (0, half)]
    leaves.sort()
    cut = [_shrunk(x[..., y : y + side, left : left + side], side // patch) for y, left, side in leaves]
    corners = torch.tensor([(left, y) for y, left, _ in leaves])
    return Tokens(torch.stack(cut, 1), corners, torch.tensor([side for *_, side in leaves]), (height, width))


def _shrunk(cell: Pictures, by: int) -> Float[Tensor, "b c p p"]:
    return torch.nn.functional.avg_pool2d(cell, by) if by > 1 else cell


def _growing(patch: int, side: int) -> Float[Tensor, "side patch"]:
    """The matrix that lays `patch` values out over `side` pixels, linear between them and beyond the outermost."""
    t = (torch.arange(side, dtype=torch.float64) + 0.5) * patch / side - 0.5
    low = t.floor().long().clamp(0, patch - 2)
    share = t - low
    rows = torch.arange(side)
    grow = torch.zeros(side, patch, dtype=torch.float64)
    grow[rows, low], grow[rows, low + 1] = 1 - share, share
    return grow
