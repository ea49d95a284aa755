from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.subjects.paths import completeness_gap, gauss_legendre


def test_the_gap_is_the_worst_of_the_batch() -> None:
    attributed = torch.tensor([[1.0, 1.0], [2.0, 1.0]])
    assert completeness_gap(attributed, torch.tensor([2.0, 4.0])) == 0.25


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_quadrature_is_exact_below_twice_its_points(steps: int) -> None:
    for power in range(2 * steps):
        assert sum(w * t**power for t, w in gauss_legendre(steps)) == pytest.approx(1 / (power + 1), abs=1e-14)


def test_a_path_without_steps_is_refused() -> None:
    with pytest.raises(LayoutError, match="a path of 0 steps"):
        gauss_legendre(0)
