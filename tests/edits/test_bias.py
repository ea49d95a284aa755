from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import EditError

from .eager import CASES, SQUARE, Case, H, N, check, draw, edited, plain, softmax


@pytest.mark.parametrize("name", SQUARE)
def test_a_bias_is_added(name: str) -> None:
    b = draw(H, N, N, seed=7)
    check(rg.edits.bias(b), lambda s, v: softmax(s + b) @ v, SQUARE[name])


@pytest.mark.parametrize("name", CASES)
def test_a_bias_a_key_in_some_heads(name: str) -> None:
    b = draw(CASES[name].keys, seed=7)
    there = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64).view(1, H, 1, 1)
    check(rg.edits.bias(b, heads=[1, 3]), lambda s, v: softmax(s + b * there) @ v, CASES[name])


@pytest.mark.parametrize("name", SQUARE)
def test_a_bool_bias_forbids(name: str) -> None:
    seen = draw(N, N, seed=8) > 0
    seen[:, 0] = True
    check(rg.edits.bias(seen), lambda s, v: softmax(s.masked_fill(~seen, float("-inf"))) @ v, SQUARE[name])
    there = torch.zeros(1, H, 1, 1, dtype=torch.bool)
    there[0, 2] = True
    some = rg.edits.bias(seen, heads=[2])
    check(some, lambda s, v: softmax(s.masked_fill(~seen & there, float("-inf"))) @ v, SQUARE[name])


def test_the_gradient_reaches_the_bias() -> None:
    """Forgetting it gives no error: hold it against the hand-written form."""
    for case in (Case(), Case(how="by hand"), Case(causal=True)):
        ours, theirs = (draw(1, H, N, N, seed=7).requires_grad_() for _ in range(2))
        weight = draw(2, H, N, 3, seed=3)
        (got,) = torch.autograd.grad((edited(rg.edits.bias(ours), case) * weight).sum(), ours)
        out = softmax(case.logits(*case.tensors[:2]) + theirs) @ case.tensors[2]
        (wanted,) = torch.autograd.grad((out * weight).sum(), theirs)
        torch.testing.assert_close(got, wanted)


def test_zero_is_the_identity() -> None:
    torch.testing.assert_close(edited(rg.edits.bias(torch.zeros(N)), Case()), plain(Case()))


def test_a_shape_that_does_not_broadcast_is_refused() -> None:
    with pytest.raises(EditError, match=r"a bias of \[5\] does not broadcast to \[2, 4, 7, 7\] at \(root\)"):
        edited(rg.edits.bias(torch.zeros(5)), Case())
