from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from regard.gaze.foveation import from_log_polar, log_polar

from .tools import astronaut, drawn

EDGES = (0.01, 0.1, 0.3, 0.6, 1.0)  # of the outer radius
# dB by ring, written down before this code was, by another prototype; read without smoothing
RECORDED = {64: (30.6, 24.2, 19.7, 18.9), 128: (36.0, 29.0, 23.3, 22.9), 256: (41.9, 34.4, 27.8, 27.3)}


def by_ring(rings: int) -> list[float]:
    """PSNR in dB of a picture that went there and back, in four rings."""
    x, at = astronaut(), (256.0, 256.0)
    back = from_log_polar(log_polar(x, at, rings=rings, wedges=2 * rings, smooth=False), at, (512, 512))
    error = (back - x).square().mean((0, 1))
    axis = torch.arange(512) + 0.5 - 256
    r = torch.hypot(axis[:, None], axis) / 256
    return [-10 * math.log10(float(error[(r >= a) & (r < b)].mean())) for a, b in pairwise(EDGES)]


@pytest.mark.slow
def test_quality_falls_with_eccentricity_and_rises_with_resolution() -> None:
    found = {rings: by_ring(rings) for rings in RECORDED}
    for rings, recorded in RECORDED.items():
        assert found[rings] == sorted(found[rings], reverse=True)
        assert found[rings] == pytest.approx(recorded, abs=1.5), rings
    assert all(a < b < c for a, b, c in zip(*found.values(), strict=True))


def test_wraps_and_ends() -> None:
    polar = drawn(1, 1, 4, 6)
    back = from_log_polar(polar, (10.0, 10.0), (20, 20), outer=8.0)[0, 0]
    assert float(back[0, 0]) == 0  # beyond the outer radius
    u = 4 * math.log(math.hypot(4.5, 0.5)) / math.log(8.0) - 0.5  # the pixel just above the axis, left of the seam
    v = 6 * (2 * math.pi - math.atan2(0.5, 4.5)) / (2 * math.pi)
    i, j, a, b = int(u), int(v), u % 1, v % 1
    p = polar[0, 0]
    want = (1 - a) * ((1 - b) * p[i, j] + b * p[i, 0]) + a * ((1 - b) * p[i + 1, j] + b * p[i + 1, 0])
    assert float(back[9, 14]) == pytest.approx(float(want), abs=1e-9)


def test_gradients() -> None:
    polar = drawn(1, 1, 4, 6).requires_grad_()
    at = torch.tensor([4.31, 5.12], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda p, g: from_log_polar(p, g, (9, 8)), (polar, at), eps=1e-7, atol=1e-5, fast_mode=True
    )
