from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import regard as rg
from regard.core import call as call_module
from regard.core.call import Rows
from regard.errors import CallError

from .gradients import Layers, retained, streamed


@pytest.mark.parametrize("block", [1, 60, 1 << 21])
@pytest.mark.parametrize("query", [0, 3, -1])
def test_equals_the_row_of_the_explicit_product(block: int, query: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "BLOCK", block)
    whole = torch.eye(7, dtype=torch.float64).expand(2, 7, 7)
    for p, g in retained(Layers()):  # as the paper writes it: R <- R + A R, from the first layer on
        whole = whole + (p * g).clamp_min(0).mean(1) @ whole
    kept = streamed(Layers(), partial(rg.probes.relevance, query=query))
    torch.testing.assert_close(kept[0].mean(1), whole[:, query], rtol=1e-9, atol=1e-12)


def test_on_the_real_model_in_one_backward_without_touching_a_gradient(dinov2: nn.Module) -> None:
    x = rg.image("sample:coffee", like=dinov2, patches=60)
    with rg.watch(dinov2, keep=["relevance", "gate_gradient"]) as record:
        features = dinov2(x)
        record.backward(features[0, :8].sum())
    first = record.readings[0]["relevance"].mean(1)
    explicit = torch.eye(first.shape[1])
    for block in dinov2.blocks:  # type: ignore[union-attr]
        block.attn.fused_attn = False
    try:
        kept: list[torch.Tensor] = []
        hooks = [
            b.attn.attn_drop.register_forward_hook(lambda _, __, out: kept.append(out) or out.retain_grad())
            for b in dinov2.blocks  # type: ignore[union-attr]
        ]
        dinov2(x.clone().requires_grad_())[0, :8].sum().backward()
    finally:
        for hook in hooks:
            hook.remove()
        for block in dinov2.blocks:  # type: ignore[union-attr]
            block.attn.fused_attn = True
        for parameter in dinov2.parameters():
            parameter.grad = None
    for p in kept:
        assert p.grad is not None
        explicit = explicit + (p * p.grad).clamp_min(0)[0].mean(0).detach() @ explicit
    torch.testing.assert_close(first[0], explicit[0], rtol=1e-4, atol=1e-6)
    for reading, p in zip(record, kept, strict=True):
        assert p.grad is not None
        torch.testing.assert_close(reading["gate_gradient"], (p * p.grad).detach().sum((2, 3)), rtol=1e-3, atol=1e-5)


def test_other_keys_than_queries_are_refused() -> None:
    p = torch.full((1, 1, 3, 4), 0.25)
    with pytest.raises(CallError, match="here are 3 queries, 4 keys"):
        rg.probes.relevance(Rows(0, p.log(), p, 3), p)
    square = torch.full((1, 1, 4, 4), 0.25)
    with pytest.raises(CallError, match="4 queries, 4 keys, and 9 in the layer above"):
        rg.probes.relevance(Rows(0, square.log(), square, 4), square, torch.ones(1, 1, 9))
    with pytest.raises(CallError, match="no query 4"):
        rg.probes.relevance(Rows(0, square.log(), square, 4), square, query=4)
