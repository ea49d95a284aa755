from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from regard.gaze.metrics import auc, auc_judd

from .tools import binary, drawn, trapezes


def transcribed(heat: Tensor, points: Tensor, noise: Any) -> float:
    """The benchmark's loop."""
    s = heat.numpy().ravel()
    s = (s - s.min()) / (s.max() - s.min()) + noise
    s = (s - s.min()) / (s.max() - s.min())
    fixated = s[binary(points, heat) > 0]
    n, count = len(fixated), len(s)
    tp, fp = [0.0], [0.0]
    for i, threshold in enumerate(sorted(fixated, reverse=True), 1):
        tp.append(i / n)
        fp.append(((s >= threshold).sum() - i) / (count - n))
    return trapezes([*tp, 1.0], [*fp, 1.0])


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_loop(seed: int) -> None:
    heat, points, _, _ = drawn(seed)
    assert float(auc_judd(heat, points)) == pytest.approx(transcribed(heat, points, 0.0), abs=1e-12)
    noise = 1e-7 * torch.rand(heat.numel(), generator=torch.Generator().manual_seed(5), dtype=torch.float64).numpy()
    assert float(auc_judd(heat, points, jitter=1e-7, seed=5)) == pytest.approx(
        transcribed(heat, points, noise), abs=1e-12
    )


def test_repeats_count_once_and_it_nears_auc() -> None:
    heat, points, _, _ = drawn(4, 60, 70, 40)
    assert torch.equal(auc_judd(heat, points), auc_judd(heat, torch.cat([points, points[:9]])))
    smooth = heat + 1e-3 * torch.rand(heat.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(auc_judd(smooth, points[1:])) == pytest.approx(float(auc(smooth, points[1:])), abs=0.02)


def test_everything_fixated_is_chance() -> None:
    points = torch.tensor([[x, y] for x in (0.0, 1.0) for y in (0.0, 1.0)])
    assert float(auc_judd(torch.arange(4.0).view(2, 2), points)) == 0.5
    assert np.isclose(float(auc_judd(torch.eye(2), points[:1])), 5 / 6)  # one of three others stands as high
