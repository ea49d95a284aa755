from __future__ import annotations

import torch

from regard.operators._features import feature_map

from .tools import drawn, refuses


def test_products_of_taylor_features_are_the_expansion() -> None:
    a, b = drawn((2, 3, 5), (2, 4, 5))
    s = a @ b.mT
    product = feature_map(a, "taylor") @ feature_map(b, "taylor").mT
    assert torch.allclose(product, 1 + s + s.square() / 2, atol=1e-12)
    assert not torch.allclose(product, s.exp(), atol=0.1)


def test_the_others_by_hand() -> None:
    x = drawn((3, 4))[0]
    assert torch.allclose(feature_map(x, "elu"), torch.where(x > 0, x + 1, x.exp()))
    assert torch.equal(feature_map(x, "relu"), x.clamp(min=0))
    assert feature_map(x, "none") is x
    refuses("feature='softmax'", "elu, relu, taylor or none", feature_map, x, "softmax")
