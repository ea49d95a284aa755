from __future__ import annotations

import numpy as np

from regard.gaze.predictors import pft

from .test_spectral_residual import slow
from .tools import drawn


def test_equals_the_formula() -> None:
    x = drawn(seed=3)
    for i in range(2):
        want = slow(x[i].numpy(), residual=False)
        assert np.abs(pft(x).values[i].numpy() - want).max() < 1e-3 * want.max()
