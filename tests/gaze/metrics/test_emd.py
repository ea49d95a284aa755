from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from regard.errors import LayoutError
from regard.gaze.metrics import emd

from .tools import drawn, refuses


@pytest.mark.parametrize("seed", range(3))
def test_equals_scipy_along_a_line(seed: int) -> None:
    a, b = torch.rand(2, 1, 19, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    want = wasserstein_distance(np.arange(19), np.arange(19), a[0].numpy(), b[0].numpy())
    assert float(emd(a, b)) == pytest.approx(want, abs=1e-9)
    assert float(emd(a.T, b.T)) == pytest.approx(want, abs=1e-9)


def test_equals_the_whole_linear_programme() -> None:
    """With the mass that stays in place left in, and every cell a variable."""
    from scipy.optimize import linprog

    a, b = torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    places = np.array([[y, x] for y in range(4) for x in range(3)])
    cost = np.linalg.norm(places[:, None] - places, axis=2)
    rows = [np.eye(12)[i][:, None] * np.ones(12) for i in range(12)] + [
        np.ones(12)[:, None] * np.eye(12)[i] for i in range(12)
    ]
    sums = np.concatenate([(t / t.sum()).numpy().ravel() for t in (a, b)])
    want = linprog(cost.ravel(), A_eq=np.array([r.ravel() for r in rows]), b_eq=sums).fun
    assert float(emd(a, b)) == pytest.approx(want, abs=1e-9)


def test_a_cell_that_moves_and_the_reduction() -> None:
    one, other = torch.zeros(2, 64, 96)
    one[3, 5], other[40, 70] = 1.0, 2.0  # from cell (0, 0) to cell (1, 2) of 32 pixels
    assert float(emd(one, other, cells=3)) == pytest.approx(5**0.5, abs=1e-6)
    assert float(emd(one, one)) == 0


def test_refusals() -> None:
    heat, _, _, truth = drawn()
    big = torch.rand(40, 40, generator=torch.Generator().manual_seed(0))
    refuses(LayoutError, r"cells=40 along the longer side\n  try: 2 .. 32", emd, big, big, cells=40)
    refuses(LayoutError, "against people's", emd, heat[1:], truth)
