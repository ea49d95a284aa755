from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.metrics import auc, auc_borji

from .tools import binary, drawn, refuses, trapezes


@pytest.mark.parametrize("step", [0.1, 0.07])
def test_equals_the_loop_with_the_same_draws(step: float) -> None:
    heat, points, _, _ = drawn(1)
    s = heat.numpy().ravel()
    s = (s - s.min()) / (s.max() - s.min())
    fixated = s[binary(points, heat) > 0]
    draws = torch.randint(len(s), (20, len(fixated)), generator=torch.Generator().manual_seed(3)).numpy()
    areas = []
    for draw in draws:
        random = s[draw]
        top = max(fixated.max(), random.max())
        levels = [k * step for k in range(int(1 / step) + 1) if k * step <= top]
        tp = [0.0, *((fixated >= t).mean() for t in reversed(levels)), 1.0]
        fp = [0.0, *((random >= t).mean() for t in reversed(levels)), 1.0]
        areas.append(trapezes(tp, fp))
    got = auc_borji(heat, points, splits=20, step=step, seed=3)
    assert float(got) == pytest.approx(float(np.mean(areas)), abs=1e-12)


def test_coarse_steps_flatten_the_curve() -> None:
    heat, points, _, _ = drawn(2, 40, 40, 60)
    peaked = heat**8
    peaked[points[:, 1].long(), points[:, 0].long()] += 0.05
    exact = float(auc(peaked, points))
    coarse, fine = (float(auc_borji(peaked, points, step=s)) for s in (0.1, 0.001))
    assert abs(fine - exact) < 0.02
    assert coarse < exact - 0.05


def test_refusals() -> None:
    heat, points, _, _ = drawn()
    refuses(LayoutError, "step=0", auc_borji, heat, points, step=0.0)
