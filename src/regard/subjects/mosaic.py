"""`mosaic`: pictures side by side as one: where the evidence for a class lies is known by construction.

The grid pointing game (Boehle et al. 2021, section 5.1) is `energy_in_mask` with `region=piece(x, at, side)`: the share
of positive evidence in the picture that shows the class; a constant map gets 1 / side^2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError


def mosaic(pictures: Sequence[Tensor], *, shrink: bool = True) -> Float[Tensor, "1 c H W"]:
    """side x side pictures `[1, C, H, W]` as one, row by row; shrunk so that the whole is as large as each was.

    Raises LayoutError where they are no square number of pictures of one size.

    >>> import torch
    >>> from regard.subjects.mosaic import mosaic
    >>> mosaic([torch.full((1, 3, 2, 2), float(i)) for i in range(4)], shrink=False)[0, 0]
    tensor([[0., 0., 1., 1.],
            [0., 0., 1., 1.],
            [2., 2., 3., 3.],
            [2., 2., 3., 3.]])
    """
    side = round(len(pictures) ** 0.5)
    shapes = {tuple(p.shape) for p in pictures}
    if side * side != len(pictures) or side < 2 or len(shapes) != 1:
        raise LayoutError(
            f"{len(pictures)} pictures of {len(shapes)} sizes in a mosaic",
            hint="4 or 9 pictures [1, C, H, W] of one size",
        )
    rows = [torch.cat(list(pictures[i * side : (i + 1) * side]), 3) for i in range(side)]
    whole = torch.cat(rows, 2)
    if not shrink:
        return whole
    return F.interpolate(whole, size=pictures[0].shape[-2:], mode="bilinear", antialias=True)


def piece(x: Tensor, at: int, side: int) -> Bool[Tensor, "H W"]:
    """Where picture `at` lies in a mosaic."""
    height, width = x.shape[-2:]
    inside = torch.zeros(height, width, dtype=torch.bool)
    row, column = divmod(at, side)
    inside[row * height // side : (row + 1) * height // side, column * width // side : (column + 1) * width // side] = (
        True
    )
    return inside
