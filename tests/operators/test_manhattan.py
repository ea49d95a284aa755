from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, dense, qkv, refuses

manhattan = rg.operators.manhattan
GRID, DECAY = rg.Grid(3, 5), [1.0, 0.8, 0.3]


def slow(scores: str):  # type: ignore[no-untyped-def]
    def pairwise(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        steps = (GRID.centres()[:, None] - GRID.centres()).abs().sum(-1).double()
        s = q @ k.mT / 2
        s = torch.softmax(s, -1) if scores == "softmax" else s
        return (s * torch.stack([g**steps for g in DECAY])) @ v

    return pairwise


@pytest.mark.parametrize(("scores", "form"), [("linear", "axial"), ("linear", "parallel"), ("softmax", "parallel")])
def test_equals_the_pairwise_form(scores: str, form: str) -> None:
    agree(lambda *x: manhattan(*x, GRID, decay=DECAY, scores=scores, form=form), slow(scores), *qkv(q=15, k=15))


def test_without_decay_it_is_softmax_attention() -> None:
    q, k, v = qkv(q=15, k=15)
    plain = manhattan(q, k, v, GRID, decay=[1.0] * 3, scores="softmax", form="parallel")
    assert torch.allclose(plain, dense(q, k, v), atol=1e-12)


def test_the_planted_fault_a_grid_lying_on_its_side() -> None:
    inputs = qkv(q=15, k=15)
    assert not torch.allclose(manhattan(*inputs, rg.Grid(5, 3)), manhattan(*inputs, GRID), atol=1e-2)


def test_refusals() -> None:
    inputs = qkv(q=15, k=15)
    refuses("scores='softmax' with form='axial'", "softmax: parallel", manhattan, *inputs, GRID, scores="softmax")
    refuses("q has 15 tokens, but grid 4x4 has 16", "Grid", manhattan, *inputs, rg.Grid(4, 4))
