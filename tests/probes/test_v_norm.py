from __future__ import annotations

import pytest
import torch

import regard as rg

from ..core.test_call import kernel, make
from .rows_of import call_of


def test_equals_the_definition_and_a_group_shares_its_values() -> None:
    call = make(b=2, h=6, hk=2, q=7, k=5)
    got = rg.probes.v_norm(call)
    assert got.shape == (2, 6, 5)
    for h in range(6):
        for j in range(5):
            slow = sum(float(x) ** 2 for x in call.v[1, h // 3, j]) ** 0.5
            assert float(got[1, h, j]) == pytest.approx(slow, rel=1e-12)


def test_no_output_is_longer_than_the_weighted_mean_of_its_values() -> None:
    call = make(h=4, hk=2, q=7, k=5)
    longest = (call.probs() @ rg.probes.v_norm(call)[..., None])[..., 0]
    assert bool((kernel(call).norm(dim=-1) <= longest * (1 + 1e-12)).all())


def test_attention_made_by_hand_has_values() -> None:
    call = call_of(torch.full((1, 2, 3, 4), 0.25))
    assert torch.equal(rg.probes.v_norm(call), torch.zeros(1, 2, 4))
