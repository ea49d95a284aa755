"""`Cells`: the pieces of a picture that are taken away together: a grid, or segments of like colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from regard.errors import LayoutError
from regard.layout import Grid


@dataclass(frozen=True)
class Cells:
    """labels: the cell of each pixel, for each picture; count: how many cells the richest picture has.

    grid: how cells lie, where they are the same grid on all pictures.
    """

    labels: Int[Tensor, "b H W"]
    count: int
    grid: Grid | None = None

    def to_map(self, values: Float[Tensor, "b cells"]) -> Float[Tensor, "b h w"]:
        """A number of each cell in its place: on the grid of cells, else on the pixels."""
        if self.grid is not None:
            return values.view(-1, self.grid.h, self.grid.w)
        return values.gather(1, self.labels.flatten(1)).view(self.labels.shape)

    @property
    def on(self) -> Grid:
        """The grid of `to_map`."""
        return self.grid or Grid(*self.labels.shape[1:])

    @property
    def present(self) -> tuple[int, ...]:
        """How many cells each picture has."""
        return tuple(int(one.max()) + 1 for one in self.labels)


def grid_cells(x: Tensor, side: int) -> Cells:
    """`side` cells along the shorter side of pictures `[B, C, H, W]`, along the longer as many of about that size."""
    b, _, height, width = _sizes(x)
    shorter, longer = sorted((height, width))
    if not 1 <= side <= shorter:
        raise LayoutError(f"{side} cells along {shorter} pixels", hint=f"1 .. {shorter}; 7 or 14 are usual")
    along = max(1, round(side * longer / shorter))
    grid = Grid(side, along) if height <= width else Grid(along, side)
    rows = torch.arange(height) * grid.h // height
    columns = torch.arange(width) * grid.w // width
    labels = rows[:, None] * grid.w + columns
    return Cells(labels.to(x.device).expand(b, -1, -1), grid.patches, grid)


def segment_cells(x: Tensor, count: int) -> Cells:
    """About `count` segments of like colour and place in each picture (SLIC)."""
    from skimage.segmentation import slic

    _sizes(x)
    if count < 2:
        raise LayoutError(f"{count} segments", hint="at least 2; 50 are usual")
    labels = []
    for picture in x.detach().cpu().double():
        low, high = picture.amin(), picture.amax()
        scaled = ((picture - low) / (high - low).clamp_min(1e-12)).permute(1, 2, 0).numpy()
        found = slic(scaled, n_segments=count, compactness=10, start_label=0, convert2lab=scaled.shape[2] == 3)
        labels.append(torch.from_numpy(np.unique(found, return_inverse=True)[1].reshape(found.shape)))
    stacked = torch.stack(labels).to(x.device)
    return Cells(stacked, int(stacked.max()) + 1)


def _sizes(x: Tensor) -> tuple[int, int, int, int]:
    if x.ndim != 4:
        raise LayoutError(f"an input {list(x.shape)} has no cells", hint="pictures [B, C, H, W]")
    b, c, height, width = x.shape
    return b, c, height, width
