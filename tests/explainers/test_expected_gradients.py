from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError

from .models import Linear, Net, Quadratic, draw, explained, values


def test_one_fixed_baseline_tends_to_integrated_gradients() -> None:
    model, x = Quadratic().double(), draw(2, 3, 5, 7)
    path = values(explained(model, x, "integrated_gradients"))
    got = explained(model, x, "expected_gradients", baseline="black", samples=200)
    assert float((values(got) - path).abs().max() / path.abs().max()) < 2e-3, "stratified: error falls faster than 1/n"
    assert got.gap < 2e-3


def test_of_a_linear_model_it_is_weight_times_mean_difference() -> None:
    model, x, references = Linear().double(), draw(2, 3, 5, 7), draw(3, 3, 5, 7, seed=9)
    got = explained(model, x, "expected_gradients", references=references, samples=6)
    torch.testing.assert_close(values(got), ((x - references.mean(0)) * model.weight[1]).sum(1).detach())
    assert got.gap < 1e-12
    assert got.se.max() > 0


def test_equals_the_explicit_mean_over_its_draws() -> None:
    model, x, references = Net(bias=True), draw(1, 3, 9, 7), draw(2, 3, 9, 7, seed=9)
    got = explained(model, x, "expected_gradients", references=references, samples=4, seed=2)
    generator = torch.Generator().manual_seed(2)
    parts = torch.randperm(4, generator=generator, dtype=torch.float64)
    t = (parts + torch.rand(4, generator=generator, dtype=torch.float64)) / 4
    total = torch.zeros_like(x)
    for k in range(4):
        b = references[k % 2 : k % 2 + 1]
        leaf = (b + t[k] * (x - b)).requires_grad_()
        total += (x - b) * torch.autograd.grad(model(leaf)[0, 1], leaf)[0] / 4
    torch.testing.assert_close(values(got), total.sum(1))


def test_refusals() -> None:
    with pytest.raises(LayoutError, match=r"references \[2, 3, 4, 4\] for pictures \[1, 3, 5, 7\]"):
        explained(Linear().double(), draw(1, 3, 5, 7), "expected_gradients", references=draw(2, 3, 4, 4))
