from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .pairs import check


def rolled(h: int, w: int, size: int, shift: int) -> torch.Tensor:
    """Swin's own way: number the regions before the roll, cut windows, and compare the numbers inside each."""
    edges = [(slice(0, -size), slice(-size, -shift), slice(-shift, None))] * 2 if shift else [(slice(None),)] * 2
    region = torch.zeros(h, w)
    for a, rows in enumerate(edges[0]):
        for b, columns in enumerate(edges[1]):
            region[rows, columns] = 3 * a + b
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    window = (y // size) * w + x // size
    both = window * 9 + region  # of the rolled picture
    back = both.roll((shift, shift), (0, 1)).flatten()
    return back[:, None] == back[None]


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_equals_roll_and_region_mask(shift: int) -> None:
    body = check(rg.patterns.window((8, 12), 4, shift))
    assert body.equal(rolled(8, 12, 4, shift))


def test_windows_that_do_not_divide_the_axis() -> None:
    check(rg.patterns.window(11, 4, 3), lambda i, j: (i[0] + 1) // 4 == (j[0] + 1) // 4)
    check(rg.patterns.window((7, 5, 3), (3, 2, 3), (1, 0, 2)))
    assert rg.patterns.window(8, 4, 0) == rg.patterns.window(8, 4) == rg.patterns.window(8, 4, 4)
    assert rg.patterns.window((6, 6), 6) == rg.patterns.dense((6, 6))


def test_refusal() -> None:
    with pytest.raises(LayoutError, match=r"size = \(9, 9\) is larger than space 8x12 \(9 > 8\)"):
        rg.patterns.window((8, 12), 9)
