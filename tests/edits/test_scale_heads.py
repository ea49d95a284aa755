from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import EditError

from .eager import CASES, Case, H, check, draw, edited, plain, softmax

GAIN = torch.tensor([1.0, 0.5, 1.0, -2.0], dtype=torch.float64).view(1, H, 1, 1)


@pytest.mark.parametrize("name", CASES)
def test_heads_are_multiplied(name: str) -> None:
    edit = rg.edits.scale_heads(torch.tensor([0.5, -2.0], dtype=torch.float64), heads=[1, 3])
    check(edit, lambda s, v: softmax(s) @ v * GAIN, CASES[name])


def test_a_gain_of_one_changes_no_bit() -> None:
    assert torch.equal(edited(rg.edits.scale_heads(1.0), Case()), plain(Case()))


def test_the_gates_gradient_is_output_times_its_gradient() -> None:
    gate = torch.ones(H, dtype=torch.float64, requires_grad=True)
    out, weight = edited(rg.edits.scale_heads(gate), Case()), draw(2, H, 7, 3, seed=3)
    (got,) = torch.autograd.grad((out.tanh() * weight).sum(), gate)
    at = plain(Case()).requires_grad_()
    (gradient,) = torch.autograd.grad((at.tanh() * weight).sum(), at)
    torch.testing.assert_close(got, (at * gradient).sum((0, 2, 3)))


@pytest.mark.parametrize(
    ("gain", "heads", "text"),
    [(0.5, [4], "no head 4"), (0.5, [-1], "no head -1"), (torch.ones(3), [0], r"\[3\] values for 1 heads")],
)
def test_refusals(gain: object, heads: list[int], text: str) -> None:
    with pytest.raises(EditError, match=text):
        edited(rg.edits.scale_heads(gain, heads=heads), Case())  # type: ignore[arg-type]
