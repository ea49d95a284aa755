from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, drawn, qkv

cross_covariance = rg.operators.cross_covariance


def slow(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k = (x / x.norm(dim=2, keepdim=True) for x in (q, k))
    return torch.einsum("bhde,bhne->bhnd", torch.softmax(2.5 * torch.einsum("bhnd,bhne->bhde", q, k), -1), v)


def test_equals_attention_of_channels() -> None:
    q, k, v = qkv(e=4)
    agree(lambda *x: cross_covariance(*x, temperature=2.5), slow, q, k, v)
    each = torch.tensor([1.0, 2.5, 2.5]).double()
    assert torch.equal(
        cross_covariance(q, k, v, temperature=each)[:, 1:], cross_covariance(q, k, v, temperature=2.5)[:, 1:]
    )


@pytest.mark.peers
def test_equals_timm() -> None:
    xcit = pytest.importorskip("timm.models.xcit")
    with torch.random.fork_rng(devices=[]):
        layer = xcit.XCA(12, num_heads=3, qkv_bias=True).double().eval()
    x = drawn((2, 7, 12))[0]
    with torch.no_grad():
        layer.temperature.copy_(torch.rand(3, 1, 1, generator=torch.Generator().manual_seed(1)) + 0.5)
        q, k, v = layer.qkv(x).view(2, 7, 3, 3, 4).permute(2, 0, 3, 1, 4)
        ours = layer.proj(cross_covariance(q, k, v, temperature=layer.temperature).transpose(1, 2).reshape(2, 7, 12))
        assert torch.allclose(ours, layer(x), atol=1e-12)
