from __future__ import annotations

import pytest
import torch

from regard.concepts import location
from regard.errors import LayoutError


def test_it_is_the_rank_of_the_pixel() -> None:
    g = torch.Generator().manual_seed(0)
    maps = torch.randn(20, 4, 5, generator=g, dtype=torch.float64)
    points = torch.stack([torch.randint(15, (20,), generator=g), torch.randint(8, (20,), generator=g)], 1)
    for share in (1 / 12, 0.5):
        got = location(maps, points, (8, 15), share=share)
        for one, (x, y), inside in zip(maps, points.tolist(), got, strict=True):
            full = torch.nn.functional.interpolate(one[None, None], size=(8, 15), mode="bilinear")[0, 0]
            no_less = int((full >= full[y, x]).sum())
            assert bool(inside) == (no_less <= int(share * 120))
    assert not location(torch.zeros(1, 4, 5), torch.tensor([[3, 3]]), (8, 15), share=0.9).any()


def test_random_maps_hit_as_often_as_the_share_is_large() -> None:
    g = torch.Generator().manual_seed(1)
    maps = torch.rand(4000, 6, 6, generator=g)
    points = torch.randint(6, (4000, 2), generator=g)
    assert float(location(maps, points, (6, 6), share=0.25).double().mean()) == pytest.approx(0.25, abs=0.03)


def test_points_outside_are_refused() -> None:
    for point, share in (((6, 0), 0.5), ((0, -1), 0.5), ((0, 0), 1.0)):
        with pytest.raises(LayoutError, match="on a picture 4 x 6"):
            location(torch.zeros(1, 2, 2), torch.tensor([point]), (4, 6), share=share)
