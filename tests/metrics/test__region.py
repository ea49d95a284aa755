from __future__ import annotations

import pytest
import torch

from regard.metrics._region import share_inside


@pytest.mark.parametrize(("height", "width", "h", "w"), [(32, 32, 8, 8), (30, 45, 7, 4), (5, 6, 5, 6)])
def test_shares_are_counted_pixel_by_pixel(height: int, width: int, h: int, w: int) -> None:
    region = torch.rand(height, width, generator=torch.Generator().manual_seed(0)) < 0.4
    got = share_inside(region, h, w)
    slow = [[[] for _ in range(w)] for _ in range(h)]
    for y in range(height):
        for x in range(width):
            slow[y * h // height][x * w // width].append(float(region[y, x]))
    torch.testing.assert_close(got, torch.tensor([[sum(c) / len(c) for c in row] for row in slow], dtype=torch.float64))


def test_more_cells_than_pixels_take_their_pixel() -> None:
    region = torch.eye(2, dtype=torch.bool)
    wanted = torch.eye(2).double().repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(share_inside(region, 4, 4), wanted)
