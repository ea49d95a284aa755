from __future__ import annotations

import pytest
import torch

from regard.errors import DegenerateError, LayoutError
from regard.gaze.metrics._shared import area, check_map, pixels, ranks, shares, stepped, stretched

from .tools import refuses


def test_pixels_are_floors() -> None:
    heat = torch.zeros(3, 4)
    points = torch.tensor([[0.0, 0.0], [3.999, 2.999], [3.0, 2.0]])
    assert pixels(points, heat).tolist() == [0, 11, 11]
    assert pixels(points, heat, merge=True).tolist() == [0, 11]
    refuses(LayoutError, "x goes before y", pixels, torch.tensor([[2.0, 3.5]]), heat)


def test_area_of_known_curves() -> None:
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    assert float(area(x, x)) == pytest.approx(0.5)
    assert float(area(x.sqrt(), x)) == pytest.approx(2 / 3, abs=1e-3)
    assert area(torch.ones(2, 3), torch.zeros(2, 3)).tolist() == [1, 1]


def test_ranks_and_steps() -> None:
    assert float(ranks(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0, 3.0]))) == pytest.approx((1.5 + 2) / 6)
    assert float(stepped(torch.ones(1, 2), torch.zeros(1, 2), 0.5)) == 1.0


def test_shares_and_stretched() -> None:
    assert shares(torch.tensor([[-1.0, 1.0]]), "it").tolist() == [[0, 1]]
    assert stretched(torch.tensor([[2.0, 4.0], [3.0, 2.0]])).tolist() == [[0, 1], [0.5, 0]]
    assert stretched(torch.full((1, 2), 3.0)).tolist() == [[0, 0]]
    refuses(DegenerateError, "it sums to 0", shares, torch.zeros(1, 2), "it")
    refuses(LayoutError, r"it is \[2\]", check_map, torch.zeros(2), "it")
