"""flow-attention works: linear equals quadratic, flows are conserved, and the causal form sees no future."""

from __future__ import annotations

import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, flops, gap, with_gradients

flow = rg.operators.flow


def quadratic(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """By the matrix of capacities between every source and sink."""
    edges = torch.sigmoid(q) @ torch.sigmoid(k).mT
    incoming, outgoing = edges.sum(-1, keepdim=True), edges.sum(-2, keepdim=True)
    kept_in = (edges / outgoing).sum(-1, keepdim=True)
    kept_out = (edges / incoming).sum(-2, keepdim=True)
    competition = torch.softmax(kept_out.clamp(-1, 1), -1) * k.shape[2]
    return torch.sigmoid(kept_in * q.shape[2] / k.shape[2]) * ((edges / incoming * competition) @ v)


@works("flow-attention")
def test_linear_equals_quadratic_in_output_and_gradient_and_cost_is_linear() -> None:
    for seed in range(5):
        q, k, v = (drawn(2, 3, n, d, seed=10 * seed + i) for i, (n, d) in enumerate(((9, 5), (11, 5), (11, 4))))
        linear = with_gradients(lambda *x: flow(*x, eps=0.0), q, k, v)
        assert gap(linear, with_gradients(quadratic, q, k, v)) < 1e-12
        assert gap(flow(q, k, v), quadratic(q, k, v)) < 1e-4  # the default epsilon
    few, many = ([drawn(1, 2, n, 16, seed=i) for i in range(3)] for n in (128, 256))
    assert flops(flow, *many) == 2 * flops(flow, *few)


@works("flow-attention")
def test_normalised_flows_are_one() -> None:
    """Edges from sources divided by their outflow give each source an outflow of 1, likewise inflows of sinks; both
    conserve the total: all inflows sum to the number of sources, all outflows to the number of sinks.

    The operator's own flows are read off its output: with one source it must be sigmoid(1) v, its share of itself.
    """
    edges = torch.sigmoid(drawn(9, 5)) @ torch.sigmoid(drawn(11, 5, seed=1)).T
    assert gap((edges / edges.sum(0)).sum(0), torch.ones(11).double()) < 1e-12
    assert gap((edges / edges.sum(1, keepdim=True)).sum(1), torch.ones(9).double()) < 1e-12
    assert abs(float((edges / edges.sum(0)).sum()) - 11) < 1e-12
    one = flow(drawn(1, 1, 1, 5), drawn(1, 1, 1, 5, seed=1), torch.ones(1, 1, 1, 1).double(), eps=0.0)
    assert gap(one, torch.sigmoid(torch.ones(1).double())) < 1e-12
    # v is divided by the strength of its source: sinks then sum v with weights of exactly their allocation
    q, k = drawn(1, 1, 9, 5), drawn(1, 1, 11, 5, seed=1)
    capacities = torch.sigmoid(q) @ torch.sigmoid(k).mT
    kept_out = (capacities / capacities.sum(-1, keepdim=True)).sum(-2)
    even = (1 / (torch.softmax(kept_out.clamp(-1, 1), -1) * 11))[..., None]
    kept_in = (capacities / capacities.sum(-2, keepdim=True)).sum(-1, keepdim=True)
    assert gap(flow(q, k, even, eps=0.0), torch.sigmoid(kept_in * 9 / 11)) < 1e-12


@works("flow-attention")
def test_the_causal_form_leaks_nothing() -> None:
    """The gradient of any output with respect to later queries, keys and values is exactly 0, in all three forms."""
    for form in ("parallel", "recurrent", "chunked"):
        leaves = [drawn(1, 2, 9, 4, seed=i).requires_grad_() for i in range(3)]
        out = flow(*leaves, causal=True, form=form, chunk=4)  # type: ignore[arg-type]
        for at in range(9):
            for gradient in torch.autograd.grad(out[:, :, at].sum(), leaves, retain_graph=True):
                assert not bool(gradient[:, :, at + 1 :].any())
                assert bool(gradient[:, :, : at + 1].any())
        open_form = torch.autograd.grad(flow(*leaves)[:, :, 0].sum(), leaves[1])[0]
        assert bool(open_form[:, :, 1:].any())
