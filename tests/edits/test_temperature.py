from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import EditError

from .eager import CASES, H, check, edited, plain, softmax


@pytest.mark.parametrize("name", CASES)
def test_logits_are_divided(name: str) -> None:
    check(rg.edits.temperature(0.7), lambda s, v: softmax(s / 0.7) @ v, CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_heads_have_their_own(name: str) -> None:
    tau = torch.tensor([0.5, 3.0], dtype=torch.float64)
    whole = torch.tensor([1.0, 0.5, 1.0, 3.0], dtype=torch.float64).view(1, H, 1, 1)
    check(rg.edits.temperature(tau, heads=[1, 3]), lambda s, v: softmax(s / whole) @ v, CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_one_changes_no_bit(name: str) -> None:
    assert torch.equal(edited(rg.edits.temperature(1.0), CASES[name]), plain(CASES[name]))


@pytest.mark.parametrize("tau", [0.0, -1.0, float("inf"), torch.tensor([1.0, 0.0])])
def test_refusals(tau: object) -> None:
    with pytest.raises(EditError, match="a temperature of"):
        rg.edits.temperature(tau)  # type: ignore[arg-type]
