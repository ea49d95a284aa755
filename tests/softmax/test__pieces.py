from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import regard as rg
from regard.errors import CallError
from regard.softmax._pieces import Block, attend_pieces, kernel, kernel_backward

from .problems import a_problem, agree


def test_any_cut_of_queries_and_keys_gives_the_whole() -> None:
    """35: pieces in any number and order, with shared keys, more keys and a sink."""
    it, leaves = a_problem(rg.patterns.dense(13), extra=True, sink=True)
    cuts = [slice(0, 4), slice(4, 5), slice(5, 13)]
    for queries in ([slice(None)], [slice(0, 6), slice(6, 13)]):
        pieces = [Block(q, k, it.scale) for k in cuts for q in queries]
        agree(lambda p, made=pieces: attend_pieces(p, made), (it, leaves))
        agree(lambda p, made=pieces[::-1]: attend_pieces(p, made), (it, leaves))


def test_a_missing_piece_is_noticed() -> None:
    """The planted fault."""
    it, leaves = a_problem(rg.patterns.dense(13))
    with pytest.raises(AssertionError, match="out"):
        agree(lambda p: attend_pieces(p, [Block(slice(None), slice(0, 12), p.scale)]), (it, leaves))


def test_the_gradient_of_the_log_sum_exp_alone_is_the_attention(generator: torch.Generator) -> None:
    """40, where nothing is asked of the output; values of another width than keys, too."""
    it, leaves = a_problem(rg.patterns.dense(6), heads=1, groups=1, values=11)
    _, lse = attend_pieces(it, [Block(slice(None), slice(0, 2), it.scale), Block(slice(None), slice(2, 6), it.scale)])
    dq, dk, dv = torch.autograd.grad(lse.sum(), leaves, materialize_grads=True)
    probs = torch.softmax(it.scale * it.q @ it.k.mT, -1)
    torch.testing.assert_close(dq, it.scale * probs @ it.k, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(dk, it.scale * probs.mT @ it.q, rtol=1e-12, atol=1e-13)
    assert dv.eq(0).all()


def test_the_kernel_gives_zeros_and_its_own_idea_of_the_sum_for_blind_rows(generator: torch.Generator) -> None:
    """Traps that the pieces patch: should torch change them, this tells."""
    q, k, v = (torch.randn(1, 1, 4, 8, generator=generator) for _ in range(3))
    added = torch.zeros(1, 1, 4, 4)
    added[..., 0, :] = float("-inf")
    out, lse = kernel(q, k, v, added, 1.0)
    assert out[0, 0, 0].eq(0).all()
    assert lse[0, 0, 0] == 0
    grads = kernel_backward(torch.ones_like(out), (q, k, v), out, lse, added, 1.0)
    assert all(g.isfinite().all() for g in grads)


def test_refusals() -> None:
    it, _ = a_problem(rg.patterns.dense(5))
    out, _ = attend_pieces(it, [Block(slice(None), slice(None), it.scale)])
    with pytest.raises(CallError, match="the fused kernel has no second derivative"):
        torch.autograd.grad(out.sum(), it.q, create_graph=True)
    elsewhere = replace(it, q=it.q.to("meta"))
    with pytest.raises(CallError, match="this implementation is for CPUs, q is on meta"):
        attend_pieces(elsewhere, [])
