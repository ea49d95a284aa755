from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.errors import DegenerateError
from regard.gaze.metrics import kld

from .tools import drawn, refuses


def test_by_formula_and_in_its_direction() -> None:
    heat, _, _, truth = drawn()
    s, g = (t.numpy() / t.numpy().sum() for t in (heat, truth))
    eps = 2.2204e-16
    assert float(kld(heat, truth)) == pytest.approx(float((g * np.log(eps + g / (s + eps))).sum()), abs=1e-12)
    assert abs(float(kld(heat, truth)) - float(kld(truth, heat))) > 0.1
    assert float(kld(truth, 5 * truth)) == pytest.approx(0, abs=1e-12)
    assert torch.autograd.gradcheck(lambda h: kld(h, truth[:3, :4]), (heat[:3, :4] + 1).requires_grad_())


def test_shift_and_refusals() -> None:
    heat, _, _, truth = drawn()
    low = heat - 0.5
    assert float(kld(low, truth)) == pytest.approx(float(kld(low - low.min(), truth)))
    refuses(DegenerateError, "the map sums to 0", kld, heat * 0, truth)
