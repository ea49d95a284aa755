from __future__ import annotations

import math

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.foveation import log_polar
from regard.gaze.foveation.log_polar import halved

from .tools import astronaut, drawn


@pytest.mark.parametrize("smooth", [False, True])
def test_equals_a_loop_over_rings_and_wedges(smooth: bool) -> None:
    x, (gx, gy) = drawn(1, 1, 30, 41), (19.3, 14.2)
    got = log_polar(x, (gx, gy), rings=6, wedges=9, inner=1.5, outer=12.0, turn=0.2, smooth=smooth)[0, 0]

    def bilinear(v, px, py):
        px, py = px - 0.5, py - 0.5
        i, j = math.floor(py), math.floor(px)
        a, b = py - i, px - j
        return (1 - a) * ((1 - b) * v[i, j] + b * v[i, j + 1]) + a * ((1 - b) * v[i + 1, j] + b * v[i + 1, j + 1])

    for u in range(6):
        r = 1.5 * 8.0 ** ((u + 0.5) / 6)
        level = max(0.0, math.log2(r * max(math.log(8) / 6, 2 * math.pi / 9))) if smooth else 0.0
        for v in range(9):
            t = 2 * math.pi * v / 9 + 0.2
            want = 0.0
            for k in (math.floor(level), math.floor(level) + 1):
                small, (sx, sy) = halved(x, k)
                here = bilinear(small[0, 0], (gx + r * math.cos(t)) * sx, (gy + r * math.sin(t)) * sy)
                want += max(0.0, 1 - abs(level - k)) * float(here)
            assert float(got[u, v]) == pytest.approx(want, abs=1e-10)


@pytest.mark.parametrize("smooth", [False, True])
def test_turning_rolls_and_zooming_shifts(smooth: bool) -> None:
    """To the recorded precision (1e-6 in float64 where the record is 2e-5 in float32)."""
    x, at = astronaut(), (256.0, 256.0)
    settings = {"rings": 40, "wedges": 64, "smooth": smooth}
    flat = log_polar(x, at, inner=4.0, outer=200.0, **settings)
    turned = log_polar(x, at, inner=4.0, outer=200.0, turn=2 * math.pi * 5 / 64, **settings)
    assert (turned - flat.roll(-5, -1)).abs().max() < 1e-6
    quarter = log_polar(x.rot90(1, (2, 3)), at, inner=4.0, outer=200.0, **settings)
    assert (quarter - flat.roll(-16, -1)).abs().max() < 1e-6  # y down: a turn to the left goes back
    if not smooth:  # a smoothed ring belongs to its size, so it does not move to another
        q = (200 / 4) ** (1 / 40)
        shifted = log_polar(x, at, inner=4.0 * q**3, outer=200.0 * q**3, **settings)
        assert (shifted[:, :, :-3] - flat[:, :, 3:]).abs().max() < 1e-6


def test_the_periphery_does_not_alias() -> None:
    """Of noise, whose mean is known, coarse rings keep the mean only if they are smoothed."""
    x = drawn(1, 1, 256, 256)
    spread = {s: log_polar(x, (128.0, 128.0), rings=12, wedges=24, smooth=s)[0, 0, -1].std() for s in (True, False)}
    assert spread[True] < 0.2 * spread[False]


def test_gradients_in_the_picture_and_in_the_fixation() -> None:
    x = drawn(2, 1, 13, 14).requires_grad_()
    at = torch.tensor([[6.6, 6.2], [7.3, 6.9]], dtype=torch.float64, requires_grad=True)
    settings = {"rings": 3, "wedges": 5, "inner": 1.0, "outer": 5.0}
    assert torch.autograd.gradcheck(
        lambda p, g: log_polar(p, g, **settings), (x, at), eps=1e-7, atol=1e-5, fast_mode=True
    )


def test_refusals() -> None:
    with pytest.raises(LayoutError, match=r"radii from 5\.0 to 4\.0"):
        log_polar(drawn(1, 1, 9, 8), (4.0, 4.0), inner=5.0)
    with pytest.raises(LayoutError, match="0 rings"):
        log_polar(drawn(1, 1, 9, 8), (4.0, 4.0), rings=0)
