from __future__ import annotations

import numpy as np
import torch

from regard.metrics._correlation import correlation_error, correlations


def test_correlations_equal_numpys_and_flat_columns_give_none() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(9, 3, generator=g, dtype=torch.float64), torch.randn(9, generator=g, dtype=torch.float64)
    got = correlations(a, b)
    for j in range(3):
        assert np.isclose(got[j], np.corrcoef(a[:, j], b)[0, 1])
    a[:, 1] = 5.0
    assert correlations(a, b)[1] == 0
    assert not correlations(a, torch.ones(9, dtype=torch.float64)).any()


def test_the_error_of_a_correlation_is_that_of_simulation() -> None:
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        u = rng.normal(size=50)
        drawn.append(np.corrcoef(u, 0.5 * u + np.sqrt(0.75) * rng.normal(size=50))[0, 1])
    told = float(correlation_error(torch.tensor(0.5), 50))
    assert abs(np.std(drawn) / told - 1) < 0.15
