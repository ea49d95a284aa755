from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import CallError

from ..core.test_call import make
from .rows_of import call_of


def test_equals_the_definition_and_a_group_shares_its_keys() -> None:
    call = make(b=2, h=4, hk=2, q=7, k=5)
    got = rg.probes.k_norm(call)
    assert got.shape == (2, 4, 5)
    for h in range(4):
        for j in range(5):
            slow = sum(float(x) ** 2 for x in call.operand("k")[1, h // 2, j]) ** 0.5
            assert float(got[1, h, j]) == pytest.approx(slow, rel=1e-12)


def test_attention_made_by_hand_has_no_keys() -> None:
    with pytest.raises(CallError, match="attn makes its attention by hand"):
        rg.probes.k_norm(call_of(torch.full((1, 1, 2, 2), 0.5)))
