from __future__ import annotations

import pytest
import torch

from regard.errors import DegenerateError
from regard.gaze.metrics import information_gain

from .tools import drawn, refuses


def test_recovers_the_divergence_of_the_density_that_made_the_fixations() -> None:
    heat, _, _, truth = drawn(h=12, w=9)
    p, q = heat + 0.1, truth + 0.1
    p, q = p / p.sum(), q / q.sum()
    at = torch.multinomial(p.flatten(), 40_000, replacement=True, generator=torch.Generator().manual_seed(0))
    points = torch.stack([at % 9, at // 9], 1) + 0.5
    want = float((p * (p / q).log2()).sum())
    assert float(information_gain(p, points, q)) == pytest.approx(want, abs=0.02)
    assert float(information_gain(q, points, q)) == 0
    slow = sum(float((p[int(y), int(x)] / q[int(y), int(x)]).log2()) for x, y in points[:50].tolist()) / 50
    assert float(information_gain(p, points[:50], q)) == pytest.approx(slow, abs=1e-12)


def test_saliency_is_refused() -> None:
    heat, points, _, truth = drawn()
    refuses(DegenerateError, r"the map is no density.*\n.*sum to 1", information_gain, heat, points, truth)
    p = truth / truth.sum()
    refuses(DegenerateError, "the baseline is no density", information_gain, p, points, p - 0.1)
