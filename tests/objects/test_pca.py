from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import DegenerateError

GRID = rg.Grid(4, 5, prefix=1)


def features(seed: int = 0, b: int = 2, c: int = 7) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    scale = torch.linspace(3, 0.5, c, dtype=torch.float64)
    return torch.randn(b, 20, c, generator=g, dtype=torch.float64) * scale + 5


def test_equals_the_eigenvectors_of_the_covariance() -> None:
    f = features()
    got = rg.objects.pca(f, GRID, components=3)
    for i in range(2):
        values, vectors = torch.linalg.eigh(torch.cov(f[i].T))
        for k in range(3):
            slow = (f[i] - f[i].mean(0)) @ vectors[:, -1 - k]
            slow = slow / slow.std()
            ours = got.values[i, k].flatten()
            torch.testing.assert_close(ours, slow * torch.sign(ours @ slow), rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(
            torch.tensor(got.facts["explained"][i], dtype=torch.float64), values.flip(0)[:3] / values.sum()
        )


def test_components_are_orthogonal_with_unit_spread_and_a_fixed_sign() -> None:
    got = rg.objects.pca(features(1), GRID).values.flatten(2)
    gram = got @ got.mT / 19
    torch.testing.assert_close(gram, torch.eye(3, dtype=torch.float64).expand(2, 3, 3), rtol=0, atol=1e-9)
    peak = got.gather(2, got.abs().argmax(2, keepdim=True))
    assert (peak > 0).all()
    flipped = rg.objects.pca(-features(1), GRID).values.flatten(2)
    torch.testing.assert_close(flipped, got)  # the sign does not hang on the features' own


def test_no_more_components_than_features() -> None:
    assert rg.objects.pca(features(c=2), GRID, components=5).names == ("component 1", "component 2")


def test_constant_features_are_refused() -> None:
    with pytest.raises(DegenerateError, match="constant or broken"):
        rg.objects.pca(torch.ones(1, 20, 3), GRID)
    with pytest.raises(DegenerateError, match="constant or broken"):
        rg.objects.pca(torch.full((1, 20, 3), float("nan")), GRID)
