from __future__ import annotations

import pytest
import torch

from regard.gaze.metrics import sim

from .tools import drawn


def test_half_the_differences() -> None:
    heat, _, _, truth = drawn()
    s, g = heat / heat.sum(), truth / truth.sum()
    assert float(sim(heat, truth)) == pytest.approx(1 - float((s - g).abs().sum()) / 2, abs=1e-12)
    assert float(sim(truth, 3 * truth)) == pytest.approx(1)


def test_stretching_is_the_other_convention() -> None:
    heat, _, _, truth = drawn()
    s, g = heat + 1, truth + 1
    unit = [(t - t.min()) / (t.max() - t.min()) for t in (s, g)]
    assert float(sim(s, g, stretch=True)) == pytest.approx(float(sim(*unit)), abs=1e-12)
    assert float(sim(s, g)) > float(sim(s, g, stretch=True)) + 0.1
    assert float(sim(torch.ones_like(truth), truth, stretch=True)) > 0
