from __future__ import annotations

import pytest
import torch

import regard as rg

from .tools import agree, dense, drawn, qkv, refuses

talking_heads = rg.operators.talking_heads


def slow(q, k, v, before, after):  # type: ignore[no-untyped-def]
    s = [q[:, h] @ k[:, h].mT / 2 for h in range(3)]
    p = [torch.softmax(sum(before[g, h] * s[h] for h in range(3)), -1) for g in range(3)]
    return torch.stack([sum(after[g, h] * p[h] for h in range(3)) @ v[:, g] for g in range(3)], 1)


def test_equals_a_loop_over_heads() -> None:
    agree(
        lambda q, k, v, a, b: talking_heads(q, k, v, before=a, after=b), slow,
        *qkv(q=5, k=9), *drawn((3, 3), (3, 3), seed=1),
    )  # fmt: skip


def test_identity_mixing_is_plain_attention() -> None:
    q, k, v = qkv()
    assert torch.allclose(talking_heads(q, k, v), dense(q, k, v), atol=1e-12)
    assert torch.allclose(talking_heads(q, k, v, before=torch.eye(3), after=torch.eye(3)), dense(q, k, v), atol=1e-12)


@pytest.mark.peers
def test_equals_timm() -> None:
    cait = pytest.importorskip("timm.models.cait")
    with torch.random.fork_rng(devices=[]):
        layer = cait.TalkingHeadAttn(12, num_heads=3).double().eval()
    x = drawn((2, 7, 12))[0]
    with torch.no_grad():
        layer.proj_l.bias.zero_()
        layer.proj_w.bias.zero_()
        q, k, v = layer.qkv(x).view(2, 7, 3, 3, 4).permute(2, 0, 3, 1, 4)
        out = talking_heads(q, k, v, before=layer.proj_l.weight, after=layer.proj_w.weight)
        assert torch.allclose(layer.proj(out.transpose(1, 2).reshape(2, 7, 12)), layer(x), atol=1e-12)


def test_refusals() -> None:
    refuses("after [2, 2] for 3 heads", "[H, H]", talking_heads, *qkv(), after=torch.eye(2))
