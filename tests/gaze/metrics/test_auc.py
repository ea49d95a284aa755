from __future__ import annotations

import pytest
import torch

from regard.errors import DegenerateError, LayoutError
from regard.gaze.metrics import auc

from .tools import drawn, refuses


@pytest.mark.parametrize("seed", range(3))
def test_every_pair_counted(seed: int) -> None:
    heat, points, _, _ = drawn(seed)
    at = heat[points[:, 1].long(), points[:, 0].long()]
    pairs = (at[:, None] > heat.flatten()).double() + 0.5 * (at[:, None] == heat.flatten())
    assert float(auc(heat, points)) == pytest.approx(float(pairs.mean()), abs=1e-12)


def test_only_the_order_matters() -> None:
    heat, points, _, _ = drawn()
    assert torch.equal(auc(heat, points), auc((3 * heat).exp(), points))
    assert float(auc(-heat, points)) == pytest.approx(1 - float(auc(heat, points)))
    assert float(auc(torch.ones_like(heat), points)) == 0.5


def test_refusals() -> None:
    heat, points, _, _ = drawn()
    refuses(LayoutError, r"outside the map of 13 x 17\n  try: fixations.inside", auc, heat, points + 10)
    refuses(LayoutError, "outside", auc, heat, points * float("nan"))
    refuses(DegenerateError, "no fixations", auc, heat, points[:0])
    refuses(DegenerateError, "NaN or infinite", auc, heat / 0, points)
