"""Each attention call is one count, however torch computes it; what a function mode cannot see shows as a gap."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.mechanisms.dispatch import Dispatched, attends

from ..zoo.variant import noise

X = noise(2, 4, 5, 8)
ROWS = noise(2, 5, 16)


def encoder() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()


def attention() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return nn.MultiheadAttention(16, 4, batch_first=True).eval()


WAYS: dict[str, Callable[[], Any]] = {
    "fused": lambda: F.scaled_dot_product_attention(X, X, X),
    "fused with a mask": lambda: F.scaled_dot_product_attention(X, X, X, torch.ones(2, 1, 5, 5, dtype=torch.bool)),
    "fused with a bias": lambda: F.scaled_dot_product_attention(X, X, X, torch.zeros(5, 5)),
    "fused, grouped": lambda: F.scaled_dot_product_attention(X, X[:, :2], X[:, :2], enable_gqa=True),
    "fused, by matmuls": lambda: F.scaled_dot_product_attention(X, X, X[..., :3]),  # no kernel for other widths
    "fused, five axes": lambda: F.scaled_dot_product_attention(X[None], X[None], X[None]),
    "by hand": lambda: (X @ X.mT).softmax(-1) @ X,
    "by hand in float64": lambda: torch.softmax(X @ X.mT, -1, dtype=torch.float64).float() @ X,
    "multihead": lambda: attention()(ROWS, ROWS, ROWS, need_weights=False),
    "multihead with weights": lambda: attention()(ROWS, ROWS, ROWS),
    "encoder layer": lambda: encoder()(ROWS),
}
MODES = {"grad": torch.enable_grad, "no grad": torch.no_grad, "inference": torch.inference_mode}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
def test_one_call_is_one_count(way: str, mode: str) -> None:
    with MODES[mode](), Dispatched() as dispatched:
        WAYS[way]()
    assert dispatched.total == 1, dispatched.counts


def test_the_ways_take_every_road() -> None:
    """Else the test above would be weaker than it looks."""
    roads = set()
    for way in WAYS.values():
        with torch.no_grad(), Dispatched() as dispatched:
            way()
        roads |= set(dispatched.counts)
    assert {"_softmax", "_safe_softmax", "_transformer_encoder_layer_fwd", "_native_multi_head_attention"} <= roads
    assert any(road.startswith("_scaled_dot_product_flash_attention") for road in roads)


def test_gradients_and_losses_are_not_counted() -> None:
    x = X.clone().requires_grad_()
    with Dispatched() as dispatched:
        F.scaled_dot_product_attention(x, x, x).sum().backward()
        x.softmax(-1).sum().backward()
        F.cross_entropy(ROWS[0], torch.zeros(5, dtype=torch.long))
    assert dispatched.total == 2, dispatched.counts
    assert not attends("_scaled_dot_product_flash_attention_backward")


def test_counting_changes_nothing_and_ends() -> None:
    plain = [way() for name, way in WAYS.items() if name.startswith(("fused", "by"))]
    with Dispatched() as dispatched:
        counted = [way() for name, way in WAYS.items() if name.startswith(("fused", "by"))]
    total = dispatched.total
    WAYS["fused"]()
    assert dispatched.total == total
    assert all(torch.equal(a, b) for a, b in zip(plain, counted, strict=True))


def test_traced_attention_shows_as_a_gap() -> None:
    """The planted fault: torch.jit is beyond a function mode."""

    class Traced(nn.Module):
        def __init__(self, attend: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.attend = attend

        def forward(self, x: Tensor) -> Tensor:
            return self.attend(F.scaled_dot_product_attention(x, x, x))

    def by_hand(x: Tensor) -> Tensor:
        return (x @ x.mT).softmax(-1) @ x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        traced = torch.jit.trace(by_hand, X)
    for attend, gap in ((by_hand, 0), (traced, 1)):
        model = Traced(attend)
        with rg.watch(model, keep="entropy") as record:
            model(X)
        with Dispatched() as dispatched:
            model(X)
        assert dispatched.total - len(record) - sum(record.not_covered.values()) == gap
