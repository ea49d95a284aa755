from __future__ import annotations

import torch
from torch.nn import functional as F

from regard.explainers._rescale import Rescaling

from .models import draw


def test_an_element_wise_function_goes_back_as_a_finite_difference() -> None:
    z = draw(2, 5).requires_grad_()
    with Rescaling():
        (got,) = torch.autograd.grad(torch.sigmoid(z)[0].sum(), z)
    x, b = z.detach()
    torch.testing.assert_close(got[0], (x.sigmoid() - b.sigmoid()) / (x - b))


def test_max_pooling_credits_the_places_of_both_maxima() -> None:
    """Maxima lie in other places: 3 at place 1 of x, 2 at place 0 of b; the rise of 1 is shared by the two."""
    z = torch.tensor([[[1.0, 3.0]], [[2.0, 0.0]]], dtype=torch.float64, requires_grad=True)
    with Rescaling():
        (got,) = torch.autograd.grad(F.max_pool1d(z, 2)[0].sum(), z)
    difference = z.detach()[0] - z.detach()[1]
    assert float((got[0] * difference).sum()) == 1.0
    torch.testing.assert_close(got[0, 0], torch.tensor([0.0, 1 / 3], dtype=torch.float64))


def test_outside_of_the_mode_nothing_is_changed() -> None:
    z = draw(2, 5).requires_grad_()
    (plain,) = torch.autograd.grad(torch.sigmoid(z)[0].sum(), z)
    torch.testing.assert_close(plain[0], z[0].sigmoid() * (1 - z[0].sigmoid()))
