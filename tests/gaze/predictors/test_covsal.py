from __future__ import annotations

import numpy as np
import torch

from regard.gaze.predictors import covsal
from regard.gaze.predictors.covsal import _odd, sigma_points

from .tools import drawn


def test_sigma_points_hold_the_covariance() -> None:
    features = torch.randn(1, 7, 16, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points, shape = sigma_points(features, 8, True)
    assert shape == (2, 3)
    lower = points[0, 4, :49].view(7, 7) / 14**0.5
    region = features[0, :, 8:16, 8:16].reshape(7, 64).numpy()  # row 1, column 1
    assert np.allclose((lower @ lower.T).numpy(), np.cov(region), atol=2e-5)
    assert np.allclose(points[0, 4, 49:].numpy() / 15**0.5, region.mean(1))


def test_odd_by_hand() -> None:
    points = torch.tensor([[0.0], [1.0], [5.0]])
    assert _odd(points, (1, 3), 0.5).tolist() == [0.5, 0.5, 2.0]
    assert torch.allclose(
        _odd(points, (1, 3), 1.0), torch.tensor([(1 / 2 + 5 / 3) / 2, (0.5 + 2) / 2, (2 + 5 / 3) / 2])
    )


def test_an_odd_patch_scores_highest() -> None:
    x = torch.nn.functional.avg_pool2d(drawn(1, 128, 128), 3, 1, 1)
    x[:, 0, 64:80, 40:56] = 1.0
    values = covsal(x).values[0]
    row, column = divmod(int(values.argmax()), values.shape[1])
    assert abs(row - 8.5) <= 1.5
    assert abs(column - 5.5) <= 1.5
