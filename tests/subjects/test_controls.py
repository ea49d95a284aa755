from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import regard as rg
from regard.subjects.controls import centre_gaussian, shuffle, shuffled_twin


def vit() -> torch.nn.Module:
    return rg.model("random:test_vit")


@pytest.mark.parametrize(("h", "w"), [(1, 1), (4, 6), (5, 3)])
def test_centre_gaussian_is_the_formula_and_symmetric(h: int, w: int) -> None:
    got = centre_gaussian(h, w).numpy()
    for y in range(h):
        for x in range(w):
            dy, dx = (y - (h - 1) / 2) / (h / 4), (x - (w - 1) / 2) / (w / 4)
            assert got[y, x] == pytest.approx(math.exp(-0.5 * (dy * dy + dx * dx)))
    np.testing.assert_allclose(got, got[::-1])
    np.testing.assert_allclose(got, got[:, ::-1])


def test_the_twin_has_the_same_numbers_in_another_order_and_the_original_stays() -> None:
    model = vit()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    twin = shuffled_twin(model, 3)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name]), name
        shuffled = twin.state_dict()[name]
        assert shuffled.data_ptr() != weight.data_ptr()
        assert torch.equal(shuffled.flatten().sort().values, weight.flatten().sort().values), name
        assert weight.unique().numel() == 1 or not torch.equal(shuffled, weight), name
    assert twin.training == model.training


def test_the_twin_depends_on_the_seed_alone() -> None:
    model = vit()
    first, again, other = (shuffled_twin(model, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["blocks.0.attn.qkv.weight"], other["blocks.0.attn.qkv.weight"])


def test_shuffling_permutes_in_place_one_tensor_after_the_other() -> None:
    weights = [torch.arange(12.0).view(3, 4), torch.arange(5.0)]
    shuffle(weights, torch.Generator().manual_seed(0))
    g = torch.Generator().manual_seed(0)
    for weight, n in zip(weights, (12, 5), strict=True):
        assert torch.equal(weight.flatten(), torch.randperm(n, generator=g).float())
