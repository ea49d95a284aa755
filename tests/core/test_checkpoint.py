"""A call that torch makes again in backward is the call that it was: the same number, one reading, one gradient."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import regard as rg
from regard.core.call import Call
from regard.core.checkpoint import checkpoint_around

KINDS = pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not reentrant"])


class Attend(nn.Module):
    num_heads = 2

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (2, -1)).transpose(1, 2) for t in (x, x.roll(1, 1), x.sin()))
        return (x + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)).cos()  # saved: no early stop


class Twice(nn.Module):
    """One site, twice in each of two checkpoints, and once outside of any."""

    def __init__(self, reentrant: bool | None) -> None:
        super().__init__()
        self.attn, self.reentrant = Attend(), reentrant

    def forward(self, x: Tensor) -> Tensor:
        both = lambda y: self.attn(self.attn(y)).cos()  # noqa: E731
        run: Any = both if self.reentrant is None else partial(checkpoint, both, use_reentrant=self.reentrant)
        return self.attn(run(run(x)))


def pictures() -> Tensor:
    g = torch.Generator().manual_seed(2)
    return torch.randn(2, 5, 4, generator=g, dtype=torch.float64).requires_grad_()


@KINDS
def test_calls_made_again_keep_their_number(reentrant: bool) -> None:
    told: list[tuple[int, bool]] = []

    def note(call: Call) -> Call:
        told.append((call.index, bool(call.checkpoint and call.checkpoint.again)))
        return call.scaled(2.0)

    net = Twice(reentrant)
    with rg.edit(net, note) as edited:
        net(pictures()).sum().backward()
    assert told[:5] == [(i, False) for i in range(5)]
    assert told[5:] == [(2, True), (3, True), (0, True), (1, True)]  # the last checkpoint first
    assert dict(edited.sites) == {"attn": 5}


@KINDS
def test_edits_by_number_give_the_gradients_of_the_plain_model(reentrant: bool) -> None:
    def second(call: Call) -> Call:
        return call.scaled(3.0) if call.index == 1 else call

    found = []
    for net in (Twice(None), Twice(reentrant)):
        x = pictures()
        with rg.edit(net, second):
            net(x).square().sum().backward()
        found.append(x.grad)
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


@KINDS
def test_there_is_one_reading_a_call_with_its_gradient(reentrant: bool) -> None:
    kept = []
    for net in (Twice(None), Twice(reentrant)):
        with rg.watch(net, keep=["entropy", "gradient_received"]) as record:
            net(pictures()).square().sum().backward()
        assert len(record) == len(record.seen) == 5
        kept.append([(r.index, r["entropy"], r["gradient_received"]) for r in record])
    for (one, *numbers), (other, *same) in zip(*kept, strict=True):
        assert one == other
        torch.testing.assert_close(same, numbers, rtol=1e-12, atol=1e-12)


def test_a_block_around_the_backward_alone_sees_new_calls() -> None:
    net = Twice(False)
    loss = net(pictures()).square().sum()
    with rg.watch(net, keep="entropy") as record:
        loss.backward()
    assert [r.index for r in record] == [0, 1, 2, 3]


def test_without_torchs_checkpoints_there_is_nothing_to_find(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkpoint_around(sys._getframe()) is None
    monkeypatch.delitem(sys.modules, "torch.utils.checkpoint")
    assert checkpoint_around(sys._getframe()) is None
