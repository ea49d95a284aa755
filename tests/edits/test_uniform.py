from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import EditError

from .eager import CASES, check, edited, plain, softmax


def flat(s: torch.Tensor) -> torch.Tensor:
    allowed = (s > float("-inf")).double()
    return allowed / allowed.sum(-1, keepdim=True)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_attention_is_mixed_with_the_uniform_one(name: str, strength: float) -> None:
    def slow(s: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return ((1 - strength) * softmax(s) + strength * flat(s.detach())) @ v

    check(rg.edits.uniform(strength), slow, CASES[name])
    check([rg.edits.uniform(strength), lambda probs: probs], slow, CASES[name])


def test_it_is_the_limit_of_temperature() -> None:
    case = CASES["fused, causal"]
    hot = edited(rg.edits.temperature(1e9), case)
    torch.testing.assert_close(edited(rg.edits.uniform(), case), hot, rtol=1e-6, atol=1e-7)


def test_zero_changes_no_bit() -> None:
    assert torch.equal(edited(rg.edits.uniform(0.0), CASES["fused"]), plain(CASES["fused"]))
    with pytest.raises(EditError, match=r"strength = -0\.1"):
        rg.edits.uniform(-0.1)
