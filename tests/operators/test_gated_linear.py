from __future__ import annotations

import pytest
import torch

import regard as rg

from .test__scan import loop
from .tools import agree, drawn, qkv, refuses

gated_linear = rg.operators.gated_linear


@pytest.mark.parametrize("form", ["parallel", "recurrent", "chunked"])
@pytest.mark.parametrize("width", [1, 4])
def test_three_forms_are_the_recurrence(form: str, width: int) -> None:
    gate = -drawn((2, 3, 7, width), seed=1)[0].abs()
    agree(
        lambda q, k, v, g: gated_linear(q, k, v, g, form=form, chunk=3), lambda q, k, v, g: loop(q / 2, k, v, g),
        *qkv(), gate,
    )  # fmt: skip


def test_open_gates_are_linear_attention_and_shut_ones_forget() -> None:
    q, k, v = qkv()
    plain = rg.operators.linear(q, k, v, feature="none", normalise=False, causal=True)
    assert torch.allclose(gated_linear(q, k, v, torch.zeros_like(k), scale=1.0), plain, atol=1e-12)
    shut = torch.zeros(2, 3, 7, 1).double()
    shut[:, :, 4] = float("-inf")
    after = gated_linear(q, k, v, shut, scale=1.0)[:, :, 4:]
    fresh = rg.operators.linear(q[:, :, 4:], k[:, :, 4:], v[:, :, 4:], feature="none", normalise=False, causal=True)
    assert torch.allclose(after, fresh, atol=1e-12)


def test_refusals() -> None:
    q, k, v = qkv()
    refuses("a log gate of 0.5", "log g <= 0", gated_linear, q, k, v, torch.full_like(k, 0.5))
    refuses("gate [2, 3, 7, 2]", "[B, H, N, 1]", gated_linear, q, k, v, k[..., :2])
