"""Watching: exact numbers, an untouched model, and refusals that help."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.core import call as call_module
from regard.core.call import Call, Rows
from regard.core.plan import Probe, find_grid, parse
from regard.errors import CallError, MethodError, SiteError
from regard.registry import cards

from .test_call import make


class Biased(nn.Module):
    """Self-attention with a float bias, values of another width, and few keys a group of heads."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(5)
        self.bias = torch.randn(1, 4, 9, 9, generator=g)
        self.qkv = torch.randn(3, 2, 4, 9, 8, generator=g)

    def forward(self, scale: float = 1.0) -> torch.Tensor:
        q, k, v = self.qkv * scale
        return F.scaled_dot_product_attention(q, k[:, :2], v[:, :2], attn_mask=self.bias, enable_gqa=True)


def explicit(net: Biased) -> torch.Tensor:
    q, k, _ = net.qkv
    return (q @ k[:, [0, 0, 1, 1]].mT * 8**-0.5 + net.bias).softmax(-1)


@pytest.mark.parametrize("block", [1, 50, 1 << 20])
def test_every_row_probe_equals_its_value_on_the_whole_matrix(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "BLOCK", block)
    net = Biased()
    keep = [rg.probes.entropy, rg.probes.received, rg.probes.sink_mass, "probs", "out", "q"]
    with rg.watch(net, keep=keep) as record:
        out = net()
    probs, reading = explicit(net), record["(root)"]
    torch.testing.assert_close(reading["probs"], probs)
    torch.testing.assert_close(reading["entropy"], -(probs * probs.log2()).sum(-1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(reading["received"], probs.mean(2))
    assert torch.equal(reading["out"], out)
    assert torch.equal(reading["q"], net.qkv[0])


def test_readings_do_not_share_memory_with_the_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that hands back a view of its block must not see it overwritten by the next call."""
    monkeypatch.setattr(call_module, "BLOCK", 40)

    def view(rows: Rows) -> torch.Tensor:
        return rows.probs[..., 0]

    net = Biased()
    watch = rg.watch(net, keep=[rg.probes.entropy])
    watch.plan.probes["entropy"] = Probe(cards("probes")["entropy"], view)
    with watch as record:
        net()
        net(0.1)
    torch.testing.assert_close(record["(root)"]["entropy"], explicit(net)[..., 0])


def test_watching_changes_nothing(tiny_vit: nn.Module) -> None:
    x = rg.image("sample:coffee", like=tiny_vit)
    with torch.no_grad():
        plain = tiny_vit(x)
        with rg.watch(tiny_vit, keep=["probs", "entropy", "distance", "pooled", "row"]):
            watched = tiny_vit(x)
    assert torch.equal(plain, watched)


def test_gradients_flow_through_a_watched_model_unchanged(tiny_vit: nn.Module) -> None:
    x = rg.image("sample:coffee", like=tiny_vit).requires_grad_()
    (plain,) = torch.autograd.grad(tiny_vit(x)[0, 3], x)
    with rg.watch(tiny_vit, keep=["entropy"]) as record:
        (watched,) = torch.autograd.grad(tiny_vit(x)[0, 3], x)
    assert torch.equal(plain, watched)
    assert not record["blocks.0.attn"]["entropy"].requires_grad


def test_selection_keeps_only_what_was_chosen(tiny_vit: nn.Module) -> None:
    with torch.no_grad(), rg.watch(tiny_vit, "blocks.{3,7}.attn", keep="q") as record:
        tiny_vit(torch.zeros(1, 3, 224, 224))
    assert [r.address for r in record] == ["blocks.3.attn", "blocks.7.attn"]
    assert len(record.seen) == 12


def test_a_selection_that_matches_nothing_is_refused_at_the_end(tiny_vit: nn.Module) -> None:
    with pytest.raises(SiteError, match="12") as caught, torch.no_grad(), rg.watch(tiny_vit, "block.3.attn"):
        tiny_vit(torch.zeros(1, 3, 224, 224))
    assert "blocks.3.attn" in caught.value.hint


def test_a_block_that_never_runs_the_model_is_no_error(tiny_vit: nn.Module) -> None:
    with rg.watch(tiny_vit, keep="q") as record:
        pass
    assert len(record) == 0


def test_errors_of_the_block_are_not_replaced(tiny_vit: nn.Module) -> None:
    def block() -> None:
        with torch.no_grad(), rg.watch(tiny_vit, "nowhere"):
            tiny_vit(torch.zeros(1, 3, 224, 224))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()


def test_a_probe_without_its_grid_is_refused_with_the_place() -> None:
    net = Biased()
    with pytest.raises(CallError, match="9 tokens lie on the picture") as caught, rg.watch(net, keep="distance"):
        net()
    assert any("while watching (root)" in note for note in caught.value.__notes__)


def test_unknown_names_list_fields_and_probes() -> None:
    with pytest.raises(MethodError, match="entropi") as caught:
        parse("entropi")
    assert "'entropy'" in caught.value.hint
    assert "probs" in caught.value.hint


def test_names_of_what_is_kept() -> None:
    plan = parse({"cls": functools.partial(rg.probes.row, queries=(0,)), "keys": "k"})
    assert list(plan.probes) == ["cls"]
    assert plan.fields == {"keys": "k"}
    assert list(parse([functools.partial(rg.probes.row, queries=(1,)), rg.probes.entropy]).probes) == ["row", "entropy"]


def test_self_check_tells_a_wrong_reading_from_a_right_one() -> None:
    net = Biased()
    with rg.watch(net, keep="entropy") as record:
        net()
    assert record.error < 1e-5

    class Dropped(nn.Module):
        """Dropout in the kernel: the second computation cannot know it, and must say so."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return F.scaled_dot_product_attention(x, x, x, dropout_p=0.5)

    dropped = Dropped()
    with rg.watch(dropped, keep="entropy") as record:
        dropped(torch.ones(1, 2, 8, 4))
    assert record.error > 0.1


def test_find_grid() -> None:
    call = make(q=10, k=10)
    assert find_grid((3, 3), call) == rg.Grid(3, 3, prefix=1)
    assert find_grid((2, 5), call) == rg.Grid(2, 5)
    assert find_grid(None, call) is None
    assert find_grid((4, 4), call) is None  # more patches than tokens: another layer's grid
    assert find_grid((3, 3), make(q=9, k=10)) is None  # cross-attention


def test_compiled_models_are_watched_eagerly(tiny_vit: nn.Module) -> None:
    compiled = torch.compile(tiny_vit, backend="eager")
    with torch.no_grad(), rg.watch(compiled, keep="entropy") as record:
        compiled(torch.zeros(1, 3, 224, 224))
    assert [r.site for r in record][:1] == ["blocks.0.attn"]


def test_only_the_rows_that_are_looked_at_are_computed(monkeypatch: pytest.MonkeyPatch, tiny_vit: nn.Module) -> None:
    computed: list[tuple[int, int | None]] = []
    genuine = Call.logits

    def logits(self: Call, start: int = 0, stop: int | None = None, **rest: Any) -> torch.Tensor:
        computed.append((start, stop))
        return genuine(self, start, stop, **rest)

    monkeypatch.setattr(Call, "logits", logits)
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    keep = {"cls": rg.probes.row, "some": functools.partial(rg.probes.row, queries=(7, 0, 196))}
    with torch.no_grad(), rg.watch(tiny_vit, "blocks.3.attn", keep=keep) as few:
        tiny_vit(x)
    assert [one for one in computed if one != (0, 1)] == [(7, 8), (196, 197)]
    with torch.no_grad(), rg.watch(tiny_vit, "blocks.3.attn", keep=[rg.probes.row, "probs", "received"]) as all_rows:
        tiny_vit(x)
    probs = all_rows["blocks.3.attn"]["probs"]
    torch.testing.assert_close(few["blocks.3.attn"]["cls"], probs[:, :, [0]], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(few["blocks.3.attn"]["some"], probs[:, :, [7, 0, 196]], rtol=1e-5, atol=1e-7)
    with (
        pytest.raises(CallError, match="no query 197"),
        torch.no_grad(),
        rg.watch(tiny_vit, keep=functools.partial(rg.probes.row, queries=(197,))),
    ):
        tiny_vit(x)
