from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.metrics import cc

from .tools import drawn, refuses


def test_equals_numpy_whatever_scale() -> None:
    heat, _, _, truth = drawn()
    want = np.corrcoef(heat.numpy().ravel(), truth.numpy().ravel())[0, 1]
    assert float(cc(heat, truth)) == pytest.approx(want, abs=1e-12)
    assert float(cc(-7 * heat + 3, truth)) == pytest.approx(-want, abs=1e-12)
    assert float(cc(heat + 1e6, truth - 1e6)) == pytest.approx(want, abs=1e-9)
    assert torch.autograd.gradcheck(lambda h: cc(h, truth[:4, :5]), heat[:4, :5].clone().requires_grad_())


def test_constants_and_refusals() -> None:
    heat, _, _, truth = drawn()
    flat = torch.ones_like(heat)
    assert (float(cc(flat, truth)), float(cc(flat, 2 * flat))) == (0, 1)
    refuses(LayoutError, r"\[13, 16\] against people's of \[13, 17\]", cc, heat[:, 1:], truth)
