from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from regard.gaze.predictors import sun
from regard.gaze.predictors.sun import fitted, laws

from .tools import drawn


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0])
def test_the_fit_recovers_a_planted_law(shape: float) -> None:
    values = stats.gennorm.rvs(shape, scale=1.7, size=60_000, random_state=np.random.default_rng(0))
    t, s = fitted(torch.from_numpy(values)[None])
    assert float(t) == pytest.approx(shape, rel=0.05)
    assert float(s) == pytest.approx(1.7, rel=0.08)


def test_natural_responses_have_heavy_tails_and_rare_ones_score() -> None:
    shapes, scales = laws(400)
    assert shapes.max() < 1.2
    assert scales.min() > 0
    x = 0.5 + 0.02 * drawn(1, 60, 60)
    x[:, :, 20:26, 30:36] = torch.tensor([0.95, 0.2, 0.2], dtype=x.dtype)[:, None, None]
    row, column = divmod(int(sun(x).values.argmax()), 60)
    assert abs(row - 23) <= 4
    assert abs(column - 33) <= 4
