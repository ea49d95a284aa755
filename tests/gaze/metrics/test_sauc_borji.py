from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.gaze.metrics import sauc, sauc_borji

from .tools import binary, drawn, trapezes


def test_equals_the_loop_with_the_same_draws() -> None:
    heat, points, others, _ = drawn(1)
    s = heat.numpy().ravel()
    s = (s - s.min()) / (s.max() - s.min())
    fixated, pool = (s[binary(p, heat) > 0] for p in (points, others))
    order = torch.rand(20, len(pool), generator=torch.Generator().manual_seed(3)).argsort(1).numpy()
    areas = []
    for permutation in order:
        random = pool[permutation[: min(len(fixated), len(pool))]]
        levels = [k * 0.1 for k in range(11) if k * 0.1 <= max(fixated.max(), random.max())]
        tp = [0.0, *((fixated >= t).mean() for t in reversed(levels)), 1.0]
        fp = [0.0, *((random >= t).mean() for t in reversed(levels)), 1.0]
        areas.append(trapezes(tp, fp))
    got = sauc_borji(heat, points, others, splits=20, seed=3)
    assert float(got) == pytest.approx(float(np.mean(areas)), abs=1e-12)


def test_fine_steps_near_the_exact_form() -> None:
    heat, points, others, _ = drawn(2, 80, 90, 50)
    assert float(sauc_borji(heat, points, others, splits=300, step=0.005)) == pytest.approx(
        float(sauc(heat, points, others)), abs=0.02
    )
