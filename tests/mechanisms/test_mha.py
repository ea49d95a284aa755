"""nn.MultiheadAttention is opened, not re-implemented."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.mechanisms.mha import OPENS


@pytest.fixture
def attention() -> nn.MultiheadAttention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.MultiheadAttention(12, 3, batch_first=True).eval()


def test_the_inner_call_is_seen_and_exact(attention: nn.MultiheadAttention, generator: torch.Generator) -> None:
    x = torch.randn(2, 5, 12, generator=generator)
    _, weights = attention(x, x, x, need_weights=True, average_attn_weights=False)
    plain, _ = attention(x, x, x, need_weights=False)
    with rg.watch(attention, keep="probs") as record:
        watched, _ = attention(x, x, x, need_weights=False)
    torch.testing.assert_close(record["(root)"]["probs"], weights)
    torch.testing.assert_close(watched, plain, rtol=0, atol=1e-6)  # the fast path is another kernel


def test_padding_masks_arrive(attention: nn.MultiheadAttention, generator: torch.Generator) -> None:
    x = torch.randn(2, 5, 12, generator=generator)
    padding = torch.tensor([[False, False, False, True, True], [False] * 5])
    with rg.watch(attention, keep="received") as record:
        attention(x, x, x, need_weights=False, key_padding_mask=padding)
    received = record["(root)"]["received"]
    assert torch.equal(received[0, :, 3:], torch.zeros(3, 2))
    torch.testing.assert_close(received.sum(-1), torch.ones(2, 3))


def test_an_encoder_is_seen_layer_by_layer(generator: torch.Generator) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(12, 3, batch_first=True)
        encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x = torch.randn(2, 5, 12, generator=generator)
    with torch.no_grad():
        plain = encoder(x)
        with rg.watch(encoder, keep="entropy") as record:
            watched = encoder(x)
    assert [r.site for r in record] == ["layers.0.self_attn", "layers.1.self_attn"]
    torch.testing.assert_close(watched, plain, rtol=0, atol=1e-6)


def test_without_the_clone_the_call_would_be_missed(attention: nn.MultiheadAttention) -> None:
    """The planted fault: this is what the clone is for."""
    from dataclasses import replace

    from regard.core.watch import Watch
    from regard.mechanisms import ALL

    x = torch.ones(1, 5, 12)
    with Watch(attention, replace(ALL, opens={}), "*", "entropy") as record:
        attention(x, x, x, need_weights=False)
    assert len(record) == 0


def test_the_clone_is_torchs_own_code() -> None:
    (original, clone), *rest = OPENS.items()
    assert original is F.multi_head_attention_forward
    assert clone.__code__ is original.__code__
    assert not rest
