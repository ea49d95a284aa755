from __future__ import annotations

import torch

import regard as rg

from .gradients import Layers, X, retained, score, streamed


def test_equals_attention_times_its_retained_gradient() -> None:
    net = Layers()
    for got, (p, g) in zip(streamed(net, "gate_gradient"), retained(Layers()), strict=True):
        torch.testing.assert_close(got, (p * g).sum((2, 3)), rtol=1e-9, atol=1e-12)


def test_equals_the_gradient_of_a_gate_on_the_head() -> None:
    net = Layers(depth=1)
    (got,) = streamed(net, "gate_gradient")
    gate = torch.ones(2, dtype=torch.float64, requires_grad=True)
    with rg.edit(net, rg.edits.scale_heads(gate)):
        (wanted,) = torch.autograd.grad(score(net(X)), gate)
    torch.testing.assert_close(got.sum(0), wanted, rtol=1e-9, atol=1e-12)
