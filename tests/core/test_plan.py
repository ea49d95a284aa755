"""The plan: what is asked for, computed where it is cheapest and nowhere else."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.core.plan import chunk, parse
from regard.errors import CallError
from regard.registry import cards


class Attend(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(x, x, x)


X = torch.randn(1, 2, 200, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def rows_computed(monkeypatch: pytest.MonkeyPatch, **given: Any) -> int:
    """How many query rows the softmax is taken of."""
    count = 0
    softmax = torch.softmax

    def counting(x: torch.Tensor, *args: Any, **more: Any) -> torch.Tensor:
        nonlocal count
        count += x.shape[-2]
        return softmax(x, *args, **more)

    monkeypatch.setattr(torch, "softmax", counting)
    net = Attend()
    with rg.watch(net, **given):
        net(X)
    monkeypatch.undo()
    return count


CHECK = 1  # the self-check computes one row


def test_only_the_rows_that_are_needed_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows_computed(monkeypatch) == CHECK
    assert rows_computed(monkeypatch, keep=["q", "out"]) == CHECK
    assert rows_computed(monkeypatch, keep=partial(rg.probes.row, queries=(0, 7))) == 2 + CHECK
    assert rows_computed(monkeypatch, keep=["row", "entropy", "received"]) == 200 + CHECK
    assert rows_computed(monkeypatch, keep="entropy", sample=8) == 2 * chunk(200, 8) + CHECK


def test_a_sample_leaves_out_rows_and_says_which() -> None:
    net = Attend()
    with rg.watch(net, keep=["entropy", "received"]) as whole:
        net(X)
    with rg.watch(net, keep=["entropy", "received"], sample=4) as some:
        net(X)
    entropy = some["(root)"]["entropy"]
    seen = torch.arange(200) % (4 * chunk(200, 4)) < chunk(200, 4)
    assert torch.equal(~entropy.isnan()[0, 0], seen)
    torch.testing.assert_close(entropy[..., seen], whole["(root)"]["entropy"][..., seen])
    with rg.watch(net, keep="probs") as record:
        net(X)
    probs = record["(root)"]["probs"]
    torch.testing.assert_close(some["(root)"]["received"], probs[:, :, seen].mean(2))
    assert abs(some.table("entropy").rows[0][1] - whole.table("entropy").rows[0][1]) < 0.1


def test_chunks_are_spread_where_there_are_few_rows_and_fast_where_there_are_many() -> None:
    assert [chunk(n, 8) for n in (50, 197, 1370, 4097, 100_000)] == [16, 16, 21, 64, 64]


def test_what_cannot_be_sampled_is_refused() -> None:
    with pytest.raises(CallError, match="'row' is made of all rows together and cannot be sampled"):
        parse("row", sample=2)
    with pytest.raises(CallError, match="a sample of one row in 0"):
        parse("entropy", sample=0)


def test_cards_functions_names_and_partials_are_asked_for_alike() -> None:
    card = cards("probes")["entropy"]
    for asked in (card, rg.probes.entropy, "entropy", [card], {"entropy": card}):
        assert list(parse(asked).probes) == ["entropy"]
    plan = parse([partial(rg.probes.row, queries=(3,)), "q"])
    assert (plan.queries, plan.fields) == ([3], {"q": "q"})


def test_probes_of_gradients_are_not_read_in_the_forward() -> None:
    plan = parse(["gate_gradient", "entropy"])
    assert (list(plan.by_rows), list(plan.by_gradient)) == (["entropy"], ["gate_gradient"])
    net = Attend()
    with rg.watch(net, keep=["gate_gradient", "entropy"]) as record:
        out = net(X)
        with pytest.raises(CallError, match=r"'gate_gradient' at .* is filled in backward, which has not come by here"):
            record["(root)"]["gate_gradient"]
        record.backward(out.sum(), retain_graph=True)
        first = record["(root)"]["gate_gradient"].clone()
        assert "entropy" in record["(root)"].values, "what the forward kept stays"
        record.backward(out.sum(), retain_graph=True)  # anew, not on top
        assert torch.equal(record["(root)"]["gate_gradient"], first)
        record.backward(2 * out.sum())
        torch.testing.assert_close(record["(root)"]["gate_gradient"], 2 * first)


def test_one_name_cannot_hold_two() -> None:
    with pytest.raises(CallError, match="'row' is asked for twice"):
        parse([partial(rg.probes.row, queries=(0,)), partial(rg.probes.row, queries=(1,))])


def test_gradients_need_a_graph_and_a_tapped_call() -> None:
    net = Attend()
    with (
        pytest.raises(CallError, match="gate_gradient read gradients, and"),
        torch.no_grad(),
        rg.watch(net, keep="gate_gradient"),
    ):
        net(X)
    with rg.watch(net, keep="entropy") as record:
        out = net(X.clone().requires_grad_())
    with pytest.raises(CallError, match="no call was tapped"):
        record.backward(out.sum())


def test_maps_over_the_limit_are_refused_before_they_are_made() -> None:
    net = Attend()
    text = r"holds 0.00 MiB already, and \(root\) would add 0.31 MiB: over the limit of 0.19 MiB"
    with pytest.raises(CallError, match=text), rg.watch(net, keep="probs", limit=200_000):
        net(X)
    with rg.watch(net, keep="probs", limit=2 * 200 * 200 * 8) as record:
        net(X)
    assert record.bytes == 2 * 200 * 200 * 8


def test_readings_do_not_leave_a_transform_of_torch_func() -> None:
    class ByHand(nn.Module):
        num_heads = 2

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x @ x.mT).softmax(-1) @ x

    net = ByHand()
    with rg.watch(net) as record:
        torch.vmap(net)(X[None])
    assert len(record) == 1
    with pytest.raises(CallError, match=r"runs under torch.func"), rg.watch(net, keep="out"):
        torch.vmap(net)(X[None])
