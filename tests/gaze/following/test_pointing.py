"""Rays by hand, mirrored and turned; two readings weighed by what was said."""

from __future__ import annotations

import math

import pytest
import torch

from regard.errors import DegenerateError, LayoutError
from regard.gaze.following.pointing import ray, weighed


def test_equals_the_formula_by_hand() -> None:
    origin, through = torch.tensor([[3.2, 8.1]], dtype=torch.float64), torch.tensor([[5.0, 6.3]], dtype=torch.float64)
    made = ray(origin, through, (11, 13), sigma=0.05, growth=0.2)[0]
    ux, uy = (through - origin)[0].tolist()
    n = math.hypot(ux, uy)
    for row in range(11):
        for column in range(13):
            ax, ay = column + 0.5 - 3.2, row + 0.5 - 8.1
            t, d = (ax * ux + ay * uy) / n, (ax * uy - ay * ux) / n
            truth = math.exp(-(d**2) / (2 * (0.05 * 11 + 0.2 * t) ** 2)) if t > 0 else 0.0
            assert math.isclose(float(made[row, column]), truth, abs_tol=1e-12)


def test_mirror_turn_and_collinear_points() -> None:
    origin, through = torch.tensor([[3.0, 8.0]], dtype=torch.float64), torch.tensor([[7.0, 5.0]], dtype=torch.float64)
    made = ray(origin, through, (12, 12))
    flip = torch.tensor([12.0, 0.0], dtype=torch.float64)
    sign = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    assert torch.allclose(ray(flip + sign * origin, flip + sign * through, (12, 12)), made.flip(2), atol=1e-12)

    def turned(p: torch.Tensor) -> torch.Tensor:  # a quarter turn to the left, as torch.rot90
        return torch.stack([p[:, 1], 12 - p[:, 0]], 1)

    assert torch.allclose(ray(turned(origin), turned(through), (12, 12)), made.rot90(1, (1, 2)), atol=1e-12)
    farther = origin + 2.5 * (through - origin)
    assert torch.allclose(ray(origin, farther, (12, 12)), made, atol=1e-12)


def test_gradient_to_both_points() -> None:
    origin = torch.tensor([[3.2, 4.1]], dtype=torch.float64, requires_grad=True)
    through = torch.tensor([[5.3, 2.2]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: ray(a, b, (6, 7)).square().sum(), (origin, through))


def test_weighing_and_refusals() -> None:
    one, other = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).unbind(0)
    assert torch.allclose(weighed(one, other, torch.tensor([[1.0, 0.0]] * 3)), one.softmax(1))
    assert torch.allclose(
        weighed(one, other, torch.tensor([[-1.0, -2.0]] * 3)), (one.softmax(1) + other.softmax(1)) / 2
    )
    assert torch.allclose(weighed(one, other, torch.rand(3, 2, generator=torch.Generator())).sum(1), torch.ones(3))
    with pytest.raises(DegenerateError, match="no direction"):
        ray(torch.ones(1, 2), torch.ones(1, 2), (4, 4))
    with pytest.raises(LayoutError, match="sigma=0"):
        ray(torch.ones(1, 2), torch.zeros(1, 2), (4, 4), sigma=0.0)
