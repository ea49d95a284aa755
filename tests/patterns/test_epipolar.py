from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .pairs import check

RECTIFIED = torch.tensor([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def test_distance_to_the_line(generator: torch.Generator) -> None:
    f = torch.randn(3, 3, generator=generator, dtype=torch.float64)

    def slow(i: tuple[int, ...], j: tuple[int, ...]) -> bool:
        x = [(i[1] + 0.5) * 4, (i[0] + 0.5) * 4, 1.0]
        a, b, c = (sum(float(f[row, n]) * x[n] for n in range(3)) for row in range(3))
        return abs(a * (j[1] + 0.5) * 4 + b * (j[0] + 0.5) * 4 + c) / (a * a + b * b) ** 0.5 <= 5.0

    check(rg.patterns.epipolar((4, 5), (6, 3), f, band=5.0, cell=4.0), slow)


@pytest.mark.parametrize("band", [0.0, 1.0, 2.5])
def test_rectified_views_see_rows(band: float) -> None:
    """19: F of rectified views, its interval form, and |y - y'| <= band are the same."""
    intervals = rg.patterns.epipolar((5, 4), (7, 3), band=band)
    body = check(intervals, lambda i, j: abs(i[0] - j[0]) <= band)
    assert intervals.boxes is not None
    assert body.equal(rg.patterns.epipolar((5, 4), (7, 3), RECTIFIED, band=band).mask())


def test_a_wide_band_is_dense() -> None:
    assert rg.patterns.epipolar((5, 4), (7, 3), RECTIFIED, band=1e6).mask().all()
    assert rg.patterns.epipolar((5, 4), band=1e6) == rg.patterns.dense((5, 4))


def test_at_the_epipole_there_is_no_line() -> None:
    forward = torch.tensor([[0.0, -1, 1.5], [1, 0, -1.5], [-1.5, 1.5, 0]])  # motion along the axis: epipole (1.5, 1.5)
    seen = rg.patterns.epipolar((3, 3), fundamental=forward, band=0.1).mask()
    assert seen[4].all()
    assert not seen[0].all()


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="epipolar lines from 9 to 9"):
        rg.patterns.epipolar(9)
    with pytest.raises(LayoutError, match=r"a fundamental matrix \[2, 3\]"):
        rg.patterns.epipolar((3, 3), fundamental=RECTIFIED[:2])
    with pytest.raises(LayoutError, match=r"band = -1\.0"):
        rg.patterns.epipolar((3, 3), band=-1.0)
