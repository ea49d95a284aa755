from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import EditError

from .eager import CASES, SQUARE, H, N, check, edited, plain, probs_under, softmax

EYE = torch.eye(N, dtype=torch.float64)


@pytest.mark.parametrize("name", SQUARE)
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_attention_is_mixed_with_the_identity(name: str, strength: float) -> None:
    edit = rg.edits.identity(strength)
    check(edit, lambda s, v: ((1 - strength) * softmax(s) + strength * EYE) @ v, SQUARE[name])
    torch.testing.assert_close(
        probs_under(edit, SQUARE[name]),
        (1 - strength) * softmax(SQUARE[name].logits(*SQUARE[name].tensors[:2])) + strength * EYE,
    )


def test_zero_changes_no_bit_and_other_heads_neither() -> None:
    for case in SQUARE.values():
        assert torch.equal(edited(rg.edits.identity(0.0), case), plain(case))
        out = edited(rg.edits.identity(0.5, heads=[1]), case)
        assert torch.equal(out[:, [0, 2, 3]], plain(case)[:, [0, 2, 3]])


@pytest.mark.parametrize("name", SQUARE)
def test_two_mixes_and_an_explicit_rule_agree_with_the_composed_matrix(name: str) -> None:
    there = torch.tensor([0.0, 0.4, 0.0, 0.0], dtype=torch.float64).view(1, H, 1, 1)

    def slow(s: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        p = 0.8 * softmax(s) + 0.2 * EYE
        return ((1 - there) * p + there * EYE) @ v

    two = rg.edits.identity(0.2) >> rg.edits.identity(0.4, heads=[1])
    check(two, slow, SQUARE[name])
    check([two, lambda probs: probs], slow, SQUARE[name])  # a rule without closed form: by rows


def test_refusals() -> None:
    with pytest.raises(EditError, match=r"strength = 1\.5 is no share"):
        rg.edits.identity(1.5)
    with pytest.raises(EditError, match="7 queries and 5 keys"):
        edited(rg.edits.identity(), CASES["fused, other keys than queries"])
