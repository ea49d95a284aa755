from __future__ import annotations

import math

import pytest
import torch

from regard.claims import one_layer
from regard.errors import LayoutError


def drawn(seed: int, tokens: int = 5) -> tuple[one_layer, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    model = one_layer.draw(heads=3, width=9, generator=g)
    return model, *(torch.randn(tokens, 9, generator=g, dtype=torch.float64) for _ in range(2))  # type: ignore[return-value]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_score_and_its_gradient_are_those_of_plain_attention(seed: int) -> None:
    model, tokens, _ = drawn(seed)
    leaf = tokens.clone().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for q, k, v, w in zip(model.query, model.key, model.value, model.out, strict=True):
        alpha = (leaf @ k.T @ q / math.sqrt(len(q))).softmax(0)
        total = total + w @ (v @ (alpha @ leaf)) / 3
    assert float(model(tokens)) == pytest.approx(float(total.detach()))
    torch.testing.assert_close(model.gradient(tokens), torch.autograd.grad(total, leaf)[0])
    assert float(model.attention(tokens).sum()) == pytest.approx(1)


def test_limes_limit_is_a_weighted_least_squares_fit_over_all_subsets() -> None:
    model, tokens, masked = drawn(3, 4)
    rows, scores, weights = [], [], []
    for index in range(15):
        there = [bool(index >> i & 1) for i in range(4)]
        rows.append([1.0, *map(float, there)])
        scores.append(float(model(torch.where(torch.tensor(there)[:, None], tokens, masked))))
        weights.append(1 / (4 * math.comb(4, 4 - sum(there))))
    assert sum(weights) == pytest.approx(1)
    root = torch.tensor(weights).double().sqrt()[:, None]
    fit = torch.linalg.lstsq(root * torch.tensor(rows).double(), root * torch.tensor(scores).double()[:, None])
    torch.testing.assert_close(model.lime(tokens, masked), fit.solution[1:, 0])


def test_a_linear_score_is_its_own_limit() -> None:
    """With keys of nothing, attention is equal and each token adds its own: coefficients are the differences."""
    model, tokens, masked = drawn(4)
    model = one_layer(model.query, 0 * model.key, model.value, model.out)
    worth = torch.einsum("hv,hvd,td->ht", model.out, model.value, tokens - masked).mean(0) / 5
    torch.testing.assert_close(model.lime(tokens, masked), worth)


def test_too_many_tokens_are_refused() -> None:
    model, tokens, masked = drawn(0, 15)
    with pytest.raises(LayoutError, match="15 tokens, 15 masked ones"):
        model.lime(tokens, masked)
