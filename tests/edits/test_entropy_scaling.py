from __future__ import annotations

import math

import pytest
import torch

import regard as rg
from regard.errors import EditError

from .eager import CASES, Case, H, check, edited, plain, softmax


@pytest.mark.parametrize("trained", [3, 40])
@pytest.mark.parametrize("name", CASES)
def test_logits_are_scaled_by_the_root_of_the_ratio_of_logarithms(name: str, trained: int) -> None:
    gain = math.sqrt(math.log(CASES[name].keys) / math.log(trained))
    check(rg.edits.entropy_scaling(trained), lambda s, v: softmax(s * gain) @ v, CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_other_heads_stay(name: str) -> None:
    gain = torch.ones(1, H, 1, 1, dtype=torch.float64)
    gain[:, 2] = math.sqrt(math.log(CASES[name].keys) / math.log(50))
    check(rg.edits.entropy_scaling(50, heads=[2]), lambda s, v: softmax(s * gain) @ v, CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_as_many_keys_as_in_training_change_no_bit(name: str) -> None:
    assert torch.equal(edited(rg.edits.entropy_scaling(CASES[name].keys), CASES[name]), plain(CASES[name]))


@pytest.mark.parametrize("trained", [1, 0, -4])
def test_refuses_what_has_no_entropy(trained: int) -> None:
    with pytest.raises(EditError, match=f"trained with {trained} keys"):
        rg.edits.entropy_scaling(trained)


def test_refuses_a_call_with_one_key_and_heads_that_do_not_exist() -> None:
    with pytest.raises(EditError, match="has 1 keys"):
        edited(rg.edits.entropy_scaling(4), Case(keys=1))
    with pytest.raises(EditError, match="no head 4"):
        edited(rg.edits.entropy_scaling(4, heads=[4]), Case())
