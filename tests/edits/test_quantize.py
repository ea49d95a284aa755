from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import EditError

from .eager import CASES, edited, plain, probs_under, softmax


@pytest.mark.parametrize("name", CASES)
def test_weights_are_on_the_levels_and_within_half_a_step(name: str) -> None:
    case = CASES[name]
    probs = probs_under(rg.edits.quantize(3), case)
    torch.testing.assert_close(probs * 7, (probs * 7).round())
    assert float((probs - softmax(case.logits(*case.tensors[:2]))).abs().max()) <= 0.5 / 7 + 1e-12
    v = case.tensors[2].repeat_interleave(4 // case.shared, 1)
    torch.testing.assert_close(edited(rg.edits.quantize(3), case), probs @ v)


def test_many_bits_are_nearly_nothing() -> None:
    torch.testing.assert_close(
        edited(rg.edits.quantize(16), CASES["fused"]), plain(CASES["fused"]), rtol=1e-3, atol=1e-4
    )
    with pytest.raises(EditError, match="17 bits"):
        rg.edits.quantize(17)


def test_gradients_pass_straight_through() -> None:
    ours, theirs = ([t.clone().requires_grad_() for t in CASES["fused"].tensors] for _ in range(2))
    from .eager import Attention

    module = Attention(None, causal=False, how="fused")
    with rg.edit(module, rg.edits.quantize(2)):
        got = torch.autograd.grad(module(*ours).sum(), ours[:2])
    wanted = torch.autograd.grad(module(*theirs).sum(), theirs[:2])
    torch.testing.assert_close(got, wanted)
