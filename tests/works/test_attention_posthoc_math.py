"""attention-posthoc-math works: gradient and LIME by formula, and where attention cannot follow them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.claims import one_layer
from regard.testing.marks import works


def sampled_lime(model: one_layer, tokens: torch.Tensor, masked: torch.Tensor, n: int, seed: int) -> np.ndarray:
    """LIME for text as it is run: how many tokens go is uniform from 1 to t, which ones at random; least squares."""
    rng = np.random.default_rng(seed)
    count = len(tokens)
    there = np.ones((n, count), dtype=bool)
    for row, gone in zip(there, rng.integers(1, count + 1, n), strict=True):
        row[rng.permutation(count)[:gone]] = False
    scores = model(torch.where(torch.from_numpy(there)[..., None], tokens, masked)).numpy()
    return np.linalg.lstsq(np.column_stack([np.ones(n), there]), scores, rcond=None)[0][1:]


@works("attention-posthoc-math")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_closed_forms_and_the_sign_that_attention_cannot_show(seed: int) -> None:
    """The gradient equals autograd to 1e-9; LIME's error falls as 1 / sqrt(n) towards the formula (200 to 20,000
    samples: at least fourfold) and ends below 3 % of its size; a token whose value is turned over gets a negative LIME
    and gradient score while its attention stays as it was."""
    g = torch.Generator().manual_seed(seed)
    model = one_layer.draw(heads=4, width=16, generator=g)
    tokens, masked = (torch.randn(8, 16, generator=g, dtype=torch.float64) for _ in range(2))
    leaf = tokens.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf), leaf)
    torch.testing.assert_close(model.gradient(tokens), slope, atol=1e-9, rtol=0)

    limit = model.lime(tokens, masked).numpy()
    errors = [
        float(np.mean([np.linalg.norm(sampled_lime(model, tokens, masked, n, s) - limit) for s in range(8)]))
        for n in (200, 20_000)
    ]
    assert errors[1] < errors[0] / 4
    assert errors[1] < 0.03 * np.linalg.norm(limit)

    # Tokens speak along one axis that the keys do not read: turning it over changes what is said, not what is seen.
    width = 16
    key, value = model.key.clone(), torch.zeros_like(model.value)
    key[..., -1] = 0
    value[..., -1] = 1
    said = one_layer(model.query, key, value, model.out.abs())
    loud = tokens.clone()
    loud[:, -1] = 1.0
    turned = loud.clone()
    turned[3, -1] = -1.0
    empty = torch.zeros(8, width, dtype=torch.float64)
    before, after = said.attention(loud), said.attention(turned)
    assert (after > 0).all()
    torch.testing.assert_close(before, after)
    assert float(said.lime(loud, empty)[3]) > 0 > float(said.lime(turned, empty)[3])
    assert float((said.gradient(turned) * turned)[3, -1]) < 0 < float((said.gradient(loud) * loud)[3, -1])
