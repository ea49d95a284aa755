from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.gaze.metrics import nss

from .tools import binary, drawn


@pytest.mark.parametrize("sample", [False, True])
def test_is_the_mean_z_score(sample: bool) -> None:
    heat, points, _, _ = drawn()
    s = heat.numpy()
    z = (s - s.mean()) / s.std(ddof=int(sample))
    slow = np.mean([z[int(y), int(x)] for x, y in points.tolist()])
    assert float(nss(heat, points, sample=sample)) == pytest.approx(slow, abs=1e-12)
    once = z.ravel()[binary(points, heat) > 0].mean()
    assert float(nss(heat, points, sample=sample, merge=True)) == pytest.approx(once, abs=1e-12)
    assert abs(once - slow) > 1e-6  # the repeat tells them apart


def test_gradient_and_constant() -> None:
    heat, points, _, _ = drawn(h=4, w=5)
    assert torch.autograd.gradcheck(lambda h: nss(h, points.clamp_max(3)), heat.requires_grad_())
    flat = torch.full((4, 5), 2.0, requires_grad=True)
    value = nss(flat, torch.ones(1, 2))
    value.backward()
    assert float(value.detach()) == 0
    assert float(nss(torch.full((7, 11), 0.1), torch.ones(1, 2))) == 0  # whose mean in float32 is not quite 0.1
