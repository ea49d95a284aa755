"""context-broadcasting works: the mean token for everyone, for free; attention then need not be spread."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, gap, with_gradients
from .digits import Reader, digits, fit

broadcast = rg.operators.context_broadcasting


@works("context-broadcasting")
def test_equals_uniform_attention() -> None:
    """Outputs and gradients, 17 tokens, to 1e-14."""
    x, uniform = drawn(2, 17, 5), torch.full((17, 17), 1 / 17, dtype=torch.float64)
    assert gap(with_gradients(lambda x: (x + uniform @ x) / 2, x), with_gradients(broadcast, x)) < 1e-14


def entropy(model: nn.Module) -> float:
    """Mean over heads, queries and test digits, in bits."""
    with rg.watch(model, "*", keep=[rg.probes.entropy]) as record, torch.no_grad():
        model(digits()[2])
    return float(torch.stack([reading["entropy"].mean() for reading in record]).mean())


@works("context-broadcasting")
@pytest.mark.slow
def test_attention_of_a_trained_network_is_sharper_with_it() -> None:
    """Digits, three seeds, the module in each MLP as in the paper: as many parameters, less entropy on average."""
    softmax = lambda q, k, v: F.scaled_dot_product_attention(q, k, v)  # noqa: E731
    gains = []
    for seed in range(3):
        found = []
        for after in (lambda x: x, broadcast):
            model = Reader(softmax, after=after, seed=seed)
            accuracy = fit(model, seed=seed)
            assert accuracy > 0.8
            found.append((entropy(model), sum(p.numel() for p in model.parameters())))
        (plain, count), (with_it, same) = found
        assert count == same
        gains.append(plain - with_it)
    assert sum(gains) / 3 > 0.02  # bits; .063, .021, .062 as measured
