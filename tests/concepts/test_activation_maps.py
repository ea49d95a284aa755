from __future__ import annotations

import pytest
import torch

from regard.concepts import activation_maps
from regard.errors import LayoutError


def test_it_is_the_dot_product_at_every_position() -> None:
    g = torch.Generator().manual_seed(0)
    features, vectors = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((2, 5, 3, 4), (7, 5)))
    got = activation_maps(features, vectors)
    for b in range(2):
        for j in range(7):
            for y in range(3):
                for x in range(4):
                    slow = sum(float(vectors[j, k] * features[b, k, y, x]) for k in range(5)) / 5
                    assert float(got[b, j, y, x]) == pytest.approx(slow)
    torch.testing.assert_close(got.mean((2, 3)) * 5, features.mean((2, 3)) @ vectors.T)


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(LayoutError, match="vectors of 4 numbers for 5 features"):
        activation_maps(torch.zeros(1, 5, 2, 2), torch.zeros(3, 4))
