"""The view is sharp where it is looked at, and smooth in the fixation."""

from __future__ import annotations

import math

import torch

from regard.gaze.scanpaths._view import fovea, softened, view


def test_fovea_equals_the_formula_by_hand() -> None:
    xy = torch.tensor([[3.2, 1.7], [0.0, 5.0]], dtype=torch.float64)
    made = fovea(xy, (5, 7), 1.3)
    for b in range(2):
        for row in range(5):
            for column in range(7):
                d = (row + 0.5 - xy[b, 1]) ** 2 + (column + 0.5 - xy[b, 0]) ** 2
                assert math.isclose(made[b, row, column], math.exp(-d / (2 * 1.3**2)), rel_tol=1e-12)


def test_the_gradient_to_the_fixation(generator: torch.Generator) -> None:
    x = torch.rand(1, 2, 9, 8, generator=generator, dtype=torch.float64)
    soft = softened(x, 1.5)
    weights = torch.rand(1, 2, 9, 8, generator=generator, dtype=torch.float64)
    at = torch.tensor([[3.3, 4.1]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: (view(x, soft, fovea(p, (9, 8), 2.0)) * weights).sum(), at)


def test_ends_of_the_view(generator: torch.Generator) -> None:
    x = torch.rand(1, 3, 6, 6, generator=generator)
    soft = softened(x, 2.0)
    assert torch.equal(view(x, soft, torch.zeros(1, 6, 6)), soft)
    assert torch.allclose(view(x, soft, torch.full((1, 6, 6), 2.0)), x, atol=1e-6)
    assert torch.equal(softened(x, 0.0), x)
