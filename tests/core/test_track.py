"""Attention made by hand is found at the product with values, with the weights as they are used there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg

Q, K, V = (torch.randn(2, 3, n, 4, generator=torch.Generator().manual_seed(i)) for i, n in enumerate((5, 7, 7)))
MASK = torch.zeros(5, 7).masked_fill(torch.arange(7) > torch.arange(5)[:, None] + 2, float("-inf"))


class Net(nn.Module):
    def __init__(self, forward: Callable[..., Tensor], heads: int | None = None) -> None:
        super().__init__()
        self.run = forward
        if heads is not None:
            self.num_heads = heads

    def forward(self, *x: Tensor) -> Tensor:
        return self.run(*x)


def in_place(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    attn = q @ k.mT
    attn *= 0.5
    attn += MASK
    return attn.softmax(-1) @ v


def through_views(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    s = torch.bmm(q.flatten(0, 1), k.flatten(0, 1).mT).view(2, 3, 5, 7) * 0.5
    p = F.softmax(s + MASK, dim=3, dtype=torch.float32).to(q.dtype)
    return torch.bmm(p.view(6, 5, 7), v.flatten(0, 1)).view(2, 3, 5, 4)


SPELLINGS: dict[str, Callable[..., Tensor]] = {
    "operators": lambda q, k, v: torch.softmax(q @ k.mT * 0.5 + MASK, dim=-1) @ v,
    "methods": lambda q, k, v: q.matmul(k.transpose(2, 3)).mul(0.5).add(MASK).softmax(dim=-1).matmul(v),
    "in place": in_place,
    "einsum": lambda q, k, v: torch.einsum(
        "b h i j, b h j d -> b h i d", (torch.einsum("bhid,bhjd->bhij", q, k) * 0.5 + MASK).softmax(-1), v
    ),
    "einsum of a list": lambda q, k, v: torch.einsum(
        "bhid,bhjd->bhij", [(torch.einsum("bhid,bhjd->bhij", [q, k]) * 0.5 + MASK).softmax(-1), v.mT]
    ),
    "keywords": lambda q, k, v: torch.matmul(
        input=F.softmax(input=torch.matmul(input=q, other=k.mT) * 0.5 + MASK, dim=-1), other=v
    ),
    "through views": through_views,
    "baddbmm": lambda q, k, v: torch.matmul(
        torch.baddbmm(MASK.expand(6, 5, 7), q.flatten(0, 1), k.flatten(0, 1).mT, alpha=0.5)
        .unflatten(0, (2, 3))
        .softmax(-1),
        v,
    ),
    "from the other side": lambda q, k, v: (v.mT @ (q @ k.mT * 0.5 + MASK).softmax(-1).transpose(-2, -1)).mT,
    "turned and back": lambda q, k, v: (q @ k.mT * 0.5 + MASK).softmax(-1).mT.contiguous().swapaxes(2, 3) @ v,
    "dropout and masks": lambda q, k, v: F.dropout((q @ k.mT * 0.5 + MASK).softmax(-1), 0.5, training=False) @ v,
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_is_read_exactly(name: str) -> None:
    net = Net(SPELLINGS[name], heads=3)
    expected = torch.softmax(Q @ K.mT * 0.5 + MASK, -1)
    plain = net(Q, K, V)
    with rg.watch(net, keep=["probs", "q", "k", "v", "out", "entropy", "received"]) as record:
        watched = net(Q, K, V)
    assert torch.equal(plain, watched)
    (reading,) = record
    assert (reading.site, reading.mechanism, reading.heads) == ("(root)", "by hand", 3)
    torch.testing.assert_close(reading["probs"], expected)
    for field, value in (("q", Q), ("k", K), ("v", V), ("out", expected @ V)):
        torch.testing.assert_close(reading[field], value)
    slow = -(expected * expected.clamp_min(1e-30).log2()).sum(-1)
    torch.testing.assert_close(reading["entropy"], slow, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(reading["received"], expected.mean(2))
    assert not record.not_covered
    assert record.error < 1e-5


def test_weights_survive_the_cut_of_a_sinks_column_and_a_single_row_may_be_a_column() -> None:
    def sink(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.cat([q @ k.mT, torch.ones(2, 3, 5, 1)], -1).softmax(-1)[..., :-1] @ v

    with rg.watch(net := Net(sink), keep=["probs", "entropy"]) as record:
        net(Q, K, V)
    wanted = torch.cat([Q @ K.mT, torch.ones(2, 3, 5, 1)], -1).softmax(-1)[..., :-1]
    torch.testing.assert_close(record["(root)"]["probs"], wanted)
    assert record["(root)"]["entropy"].isnan().any(), "rows without the sink's share are no distribution"

    def column(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return v.mT @ (q[:, :, :1] @ k.mT).softmax(-1).squeeze(2).unsqueeze(2).transpose(2, 3)

    def context(q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # as GC-ResNet: [B, 1, K] unsqueezed at the end
        return v[:, :1].mT @ (q[:, 0, :1] @ k[:, 0].mT).softmax(-1).unsqueeze(3)

    for forward in (column, context):
        with rg.watch(net := Net(forward), keep="probs") as record:
            net(Q, K, V)
        got = record["(root)"]["probs"]
        torch.testing.assert_close(got, (Q[:, :, :1] @ K.mT).softmax(-1)[:, : got.shape[1]])


def test_the_weights_are_those_that_the_model_uses() -> None:
    mix = torch.randn(3, 3, generator=torch.Generator().manual_seed(3)).softmax(-1)

    def talking(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        p = (q @ k.mT).softmax(-1)
        return (p.permute(0, 2, 3, 1) @ mix).permute(0, 3, 1, 2) @ v

    def renormalised(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        p = (q @ k.mT).softmax(-1).masked_fill(torch.arange(7) == 2, 0.0)
        return p / p.sum(-1, keepdim=True) @ v

    with rg.watch(net := Net(renormalised), keep="probs") as record:
        net(Q, K, V)
    p = (Q @ K.mT).softmax(-1).masked_fill(torch.arange(7) == 2, 0.0)
    torch.testing.assert_close(record["(root)"]["probs"], p / p.sum(-1, keepdim=True))
    with rg.watch(net := Net(talking), keep="received") as record:
        net(Q, K, V)
    assert len(record) == 1, "mixing heads by a product comes before the values: it is taken for the call"


@pytest.mark.parametrize(
    ("forward", "told"),
    [
        (lambda q, k, v: (q @ k.mT).softmax(-1), "softmax without a product with values"),
        (lambda q, k, v: (q @ k.mT).softmax(-2) @ v, "softmax without a product with values"),
        (lambda q, k, v: q.mT @ (q @ k.mT).softmax(-1), "softmax without a product with values"),
        (lambda q, k, v: (q @ k.mT).softmax(-1).mT @ q, "softmax without a product with values"),
        (lambda q, k, v: torch.einsum("bhij,bhjd->bihd", (q @ k.mT).softmax(-1), v), "softmax without a product"),
        (lambda q, k, v: (q[0] @ k[0].mT).softmax(-1) @ v[0], r"weights \[3, 5, 7\] have no known head axis"),
        (lambda q, k, v: (q[None] @ k[None].mT).softmax(-1) @ v[None], "no known head axis"),
    ],
)
def test_what_cannot_be_read_is_told(forward: Callable[..., Tensor], told: str) -> None:
    import re

    net = Net(forward)
    with rg.watch(net, keep="entropy") as record:
        net(Q, K, V)
    assert len(record) == 0
    (what,) = record.not_covered
    assert re.search(told, what), what


def test_products_and_softmaxes_that_are_no_attention_are_not_taken_for_it() -> None:
    net = Net(lambda q, k, v: (q @ k.mT).relu() @ v + (v.sum() * q.flatten(1).softmax(-1).sum()))
    with rg.watch(net, keep="entropy") as record:
        net(Q, K, V)
    assert len(record) == 0
    assert not record.not_covered, "a softmax over two axes is a classifier's"


def test_weights_that_no_product_made_have_no_q_and_k() -> None:
    net = Net(lambda a, v: a.softmax(-1) @ v)
    logits = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(4))
    with rg.watch(net, keep="attention") as record:
        net(logits, V)
    (reading,) = record
    assert reading.gives == ("v", "out", "probs")
    torch.testing.assert_close(reading["probs"], logits.softmax(-1))
    with (
        pytest.raises(rg.errors.CallError, match="makes its attention by hand and not from a product") as caught,
        rg.watch(net, keep="q"),
    ):
        net(logits, V)
    assert "probs" in caught.value.hint


def test_the_same_weights_on_two_values_are_one_call() -> None:
    def twice(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        p = (q @ k.mT).softmax(-1)
        return p @ v + p @ (2 * v)

    with rg.watch(net := Net(twice), keep="out") as record:
        made = net(Q, K, V)
    (reading,) = record
    torch.testing.assert_close(reading["out"], made / 3)  # of the first of the two products


def test_a_model_may_run_outside_modules_unseen() -> None:
    net = Net(lambda q, k, v: q)
    with rg.watch(net, keep="entropy") as record:
        net(Q, K, V)
        SPELLINGS["operators"](Q, K, V)  # nobody's attention
    assert len(record) == 0
    assert not record.not_covered


def test_nothing_of_the_forward_is_held_while_watching() -> None:
    import gc
    import weakref

    alive: list[Any] = []

    def forward(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q = q * 1.0
        s = q @ k.mT
        alive.extend(weakref.ref(t) for t in (q, s))
        return s.softmax(-1) @ v

    net = Net(forward)
    with rg.watch(net, keep="entropy"):
        net(Q, K, V)
        gc.collect()
        assert [ref() for ref in alive] == [None, None]
