"""What the tests of predictors share: fresh pictures, and arrays of cells with one that is odd."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def drawn(b: int = 2, h: int = 37, w: int = 53, seed: int = 0) -> Tensor:
    return torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def array(kind: str, seed: int, *, cells: int = 7, side: int = 40) -> tuple[Tensor, tuple[int, int]]:
    """Bars on grey, 7 x 7 of them with jitter, one odd in colour, orientation or size; and its (row, column)."""
    g = torch.Generator().manual_seed(seed)
    target = (int(torch.randint(1, cells - 1, (1,), generator=g)), int(torch.randint(1, cells - 1, (1,), generator=g)))
    picture = torch.full((3, cells * side, cells * side), 0.5)
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) - side / 2 for _ in "yx"), indexing="ij")
    for row in range(cells):
        for column in range(cells):
            odd = (row, column) == target
            dy, dx = (torch.rand(2, generator=g) * 6 - 3).tolist()
            angle = math.pi / 2 if odd and kind == "orientation" else 0.0
            long, thick = (13.0, 5.0) if odd and kind == "size" else (8.0, 3.0)
            along = (x - dx) * math.cos(angle) + (y - dy) * math.sin(angle)
            across = -(x - dx) * math.sin(angle) + (y - dy) * math.cos(angle)
            bar = (along.abs() <= long) & (across.abs() <= thick)
            colour = (0.9, 0.2, 0.2) if odd and kind == "colour" else (0.2, 0.65, 0.2)
            cell = picture[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
            cell[:, bar] = torch.tensor(colour)[:, None]
    return picture[None], target


def pops_out(predict, kind: str, seeds: range) -> float:
    """Share of arrays in which the odd cell holds the highest value."""
    found = []
    for seed in seeds:
        picture, target = array(kind, seed)
        values = predict(picture).values[0]
        row, column = divmod(int(values.argmax()), values.shape[1])
        found.append((row * 7 // values.shape[0], column * 7 // values.shape[1]) == target)
    return sum(found) / len(found)
