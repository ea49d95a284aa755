from __future__ import annotations

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError

from ..core.test_call import make
from .rows_of import call_of


def test_equals_the_definition() -> None:
    call = make(b=2, h=4, hk=2, q=7, k=5)
    got = rg.probes.q_norm(call)
    for h in range(4):
        for i in range(7):
            slow = sum(float(x) ** 2 for x in call.operand("q")[1, h, i]) ** 0.5
            assert float(got[1, h, i]) == pytest.approx(slow, rel=1e-12)


def test_products_of_norms_bound_every_logit() -> None:
    call = make(h=4, hk=2, q=7, k=5)
    bound = call.scale * rg.probes.q_norm(call)[..., :, None] * rg.probes.k_norm(call)[..., None, :]
    assert bool((call.logits().abs() <= bound * (1 + 1e-12)).all())
    assert not bool((call.logits().abs() <= 0.5 * bound).all())  # no idle bound


def test_attention_made_by_hand_has_no_queries() -> None:
    with pytest.raises(CallError, match="attn makes its attention by hand"):
        rg.probes.q_norm(call_of(torch.full((1, 1, 2, 2), 0.5)))


def test_on_a_model(tiny_vit: nn.Module) -> None:
    x = rg.image("sample:coffee", like=tiny_vit).requires_grad_()
    with rg.watch(tiny_vit, "blocks.3.attn", keep=["q_norm", "k_norm", "v_norm", "q", "k", "v"]) as record:
        tiny_vit(x)
    reading = record["blocks.3.attn"]
    for which in "qkv":
        torch.testing.assert_close(reading[f"{which}_norm"], reading[which].square().sum(-1).sqrt())
        assert not reading[f"{which}_norm"].requires_grad
