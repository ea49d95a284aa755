from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.comparisons import fdiss
from regard.gaze.comparisons.fdiss import disc_iou

from .tools import drawn


@pytest.mark.parametrize("distance", [0.0, 3.3, 11.0, 19.9, 25.0])
def test_overlap_is_what_a_grid_counts(distance: float) -> None:
    y, x = torch.meshgrid(torch.arange(-12, 12, 0.05) + 0.02, torch.arange(-12, 42, 0.05) + 0.02, indexing="ij")
    one, two = torch.hypot(x, y) < 10, torch.hypot(x - distance, y) < 10
    want = float((one & two).sum() / (one | two).sum())
    assert float(disc_iou(torch.tensor(distance), 10.0)) == pytest.approx(want, abs=2e-3)


def test_best_matches_both_ways_without_order() -> None:
    one, two = drawn(3, 6, 4)
    iou = [[float(disc_iou((a[:2] - b[:2]).norm(), 30.0)) for b in two] for a in one]
    p = sum(max(row) for row in iou) / 6
    r = sum(max(row[j] for row in iou) for j in range(4)) / 4
    assert 0 < p != r
    assert float(fdiss(one, two, radius=30.0)) == pytest.approx(2 * p * r / (p + r))
    assert float(fdiss(one, one[torch.randperm(6, generator=torch.Generator().manual_seed(0))])) == 1
    assert float(fdiss(one, one[[0, 0, 1, 2, 3, 4, 5]])) == 1  # repeats do not count either
    with pytest.raises(LayoutError, match="radius=0"):
        fdiss(one, two, radius=0.0)
