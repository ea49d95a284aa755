from __future__ import annotations

import math

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.foveation import eccentricity_pool

from .tools import drawn


@pytest.mark.parametrize(("window", "stride", "size"), [(2, 2, (9, 12)), (3, 1, (7, 8)), (3, 2, (11, 9))])
def test_without_a_slope_it_is_plain_pooling(window: int, stride: int, size: tuple[int, int]) -> None:
    x = drawn(2, 3, *size)
    got = eccentricity_pool(x, (4.0, 5.0), slope=0.0, window=float(window), stride=stride)
    assert torch.allclose(got, torch.nn.functional.avg_pool2d(x, window, stride), atol=1e-12)


def test_equals_a_loop_over_windows() -> None:
    x, (gx, gy), slope, fovea = drawn(1, 1, 14, 16), (5.3, 8.1), 0.4, 3.0
    got = eccentricity_pool(x, (gx, gy), slope=slope, fovea=fovea)[0, 0]
    for i in range(7):
        for j in range(8):
            cx, cy = 2 * j + 1.0, 2 * i + 1.0
            half = (2 + slope * max(0.0, 2 * math.hypot(cx - gx, cy - gy) - fovea)) / 2
            total = area = 0.0
            for r in range(14):
                for c in range(16):
                    across = max(0.0, min(c + 1, cx + half) - max(c, cx - half))
                    down = max(0.0, min(r + 1, cy + half) - max(r, cy - half))
                    total, area = total + across * down * float(x[0, 0, r, c]), area + across * down
            assert float(got[i, j]) == pytest.approx(total / area, abs=1e-10)


def test_detail_fades_away_from_the_gaze() -> None:
    got = eccentricity_pool(drawn(1, 1, 200, 200), (20.0, 20.0), slope=0.3, fovea=20.0)[0, 0]
    assert got[:12, :12].std() > 3 * got[-12:, -12:].std()


def test_gradients_and_float32() -> None:
    x = drawn(1, 2, 8, 8).requires_grad_()
    at = torch.tensor([[3.3, 4.6]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda p, g: eccentricity_pool(p, g, slope=0.3, fovea=2.0), (x, at), atol=1e-6, fast_mode=True
    )
    large = drawn(1, 1, 300, 300)
    low, high = (eccentricity_pool(t, (150.0, 150.0)) for t in (large.float(), large))
    assert (low - high).abs().max() < 1e-5


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="a window of 9"):
        eccentricity_pool(drawn(1, 1, 8, 8), (4.0, 4.0), window=9.0)
    with pytest.raises(LayoutError, match="slope=-1"):
        eccentricity_pool(drawn(1, 1, 8, 8), (4.0, 4.0), slope=-1.0)
