from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.gaze.predictors import gbvs
from regard.gaze.predictors.gbvs import _nearness, activation, concentration

from .tools import drawn, pops_out


def rest(weights: np.ndarray) -> np.ndarray:
    """The stationary vector of the chain with these weights (from row to column), by its eigenvector."""
    chain = weights / weights.sum(1, keepdims=True)
    values, vectors = np.linalg.eig(chain.T)
    at = int(np.argmin(np.abs(values - 1)))
    return np.real(vectors[:, at] / vectors[:, at].sum())


@pytest.mark.parametrize("differ", ["absolute", "log"])
def test_closed_forms_are_the_eigenvectors(differ: str) -> None:
    m = torch.rand(1, 1, 35, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    close, tight = _nearness((5, 7), 2.0, m), _nearness((5, 7), 0.8, m)
    unit = ((m - m.min()) / (m.max() - m.min()))[0, 0].numpy()
    gap = (
        np.abs(unit[:, None] - unit) if differ == "absolute" else np.abs(np.log((unit[:, None] + 0.01) / (unit + 0.01)))
    )
    active = activation(m, close, differ)
    want = rest(gap * close.numpy())
    assert np.allclose(active[0, 0].numpy(), want, atol=1e-12)
    assert np.allclose(concentration(active, tight)[0, 0].numpy(), rest(want[None] * tight.numpy()), atol=1e-12)


def test_a_flat_feature_gives_a_flat_walk() -> None:
    close = _nearness((4, 4), 1.0, torch.zeros(1))
    assert torch.allclose(activation(torch.ones(1, 1, 16), close), torch.tensor(1 / 16))


def test_sums_to_one_and_size_pops_out() -> None:
    assert torch.allclose(gbvs(drawn()).values.sum((1, 2)), torch.ones(2, dtype=torch.float64))
    assert pops_out(gbvs, "size", range(3)) == 1
