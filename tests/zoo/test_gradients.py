"""Streamed gradients of attention against `retain_grad` on matrices made by hand, in every way a model is run.

Texts are padded, keys and values are grouped and cached, beams are reordered, blocks are checkpointed, models are
compiled or run under autocast: what `record.backward` hands out is each time what torch itself gives.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import regard as rg
from regard.errors import CallError

from .test_generate import MODELS, inputs_of

KEEP = ["gradient_received", "gate_gradient"]
Pairs = list[tuple[Tensor, Tensor]]  # attention and its gradient, call by call


def expected(pairs: Pairs, name: str) -> list[Tensor]:
    if name == "gate_gradient":
        return [(p * g).sum((2, 3)) for p, g in pairs]
    return [(p * g).clamp_min(0).mean(2) for p, g in pairs]


def hold(readings: list[Any], pairs: Pairs, tolerance: float = 1e-9) -> None:
    assert len(readings) == len(pairs) > 0
    for name in KEEP:
        for reading, wanted in zip(readings, expected(pairs, name), strict=True):
            largest = float(wanted.abs().max())
            if largest:
                torch.testing.assert_close(
                    reading[name], wanted.to(reading[name].dtype), rtol=tolerance, atol=tolerance * largest
                )
            else:  # a prompt's last layer, which later tokens do not read
                with pytest.raises(CallError, match="a score that depends on this call"):
                    reading[name]


def retain(attentions: Any) -> list[Tensor]:
    for p in attentions:
        p.retain_grad()
    return list(attentions)


def pairs_of(kept: list[Tensor]) -> Pairs:
    return [(p.detach(), p.grad if p.grad is not None else torch.zeros_like(p)) for p in kept]


def two_steps(model: Any, inputs: dict[str, Any], beams: int, kept: list[Tensor] | None) -> Tensor:
    """The prompt, beams reordered, one more token out of the cache; the score reads that token's logits."""
    if kept is not None:
        model.get_input_embeddings().weight.requires_grad_()
    told = {"output_attentions": kept is not None, "use_cache": True}
    many = {k: v.repeat_interleave(beams, 0) if isinstance(v, Tensor) else v for k, v in inputs.items()}
    first = model(**many, **told)
    cache = first.past_key_values
    rows = torch.arange(many["input_ids"].shape[0])
    if beams > 1:
        rows = rows.view(-1, beams).roll(1, 1).flatten()
        cache.reorder_cache(rows)
    mask = torch.cat([many["attention_mask"], many["attention_mask"].new_ones(len(rows), 1)], 1)
    word = torch.arange(3, 3 + len(rows))[:, None]
    second = model(input_ids=word, attention_mask=mask, past_key_values=cache, **told)
    if kept is not None:
        kept += retain([*first.attentions, *second.attentions])
    return (second.logits[:, -1].double().tanh() * torch.linspace(-1, 1, second.logits.shape[-1])).sum()


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", ["llama", "llama, one head of keys", "llava"])
def test_while_writing(name: str, beams: int) -> None:
    build: Any = MODELS[name]
    fused, spelled = (copy.deepcopy(build(how=how)()[0]) for how in ("sdpa", "eager"))
    spelled.load_state_dict(fused.state_dict())
    inputs = inputs_of(name)
    kept: list[Tensor] = []
    two_steps(spelled, inputs, beams, kept).backward()
    with rg.watch(fused, keep=KEEP) as record:
        record.backward(two_steps(fused, inputs, beams, None))
    of_language = [r for r in record if "vision" not in r.site]
    hold(of_language, pairs_of(kept), 1e-5)  # float32 both ways
    assert {r.queries for r in of_language} == {inputs["input_ids"].shape[1], 1}
    assert all(p.grad is None for p in fused.parameters())


class Layer(nn.Module):
    """Attention, fused or by hand with its matrix kept."""

    def __init__(self, g: torch.Generator) -> None:
        super().__init__()
        self.num_heads = 2
        self.kept: list[Tensor] | None = None
        self.weight = nn.Parameter(torch.randn(8, 24, generator=g) / 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.transpose(1, 2) for t in (x @ self.weight).unflatten(-1, (3, self.num_heads, -1)).unbind(2))
        if self.kept is None:
            return (x + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)).sin()
        p = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
        self.kept += retain([p])
        return (x + (p @ v).transpose(1, 2).flatten(2)).sin()


class Stack(nn.Module):
    """Three of them, each checkpointed or not."""

    def __init__(self, way: str = "plain") -> None:
        super().__init__()
        g = torch.Generator().manual_seed(4)
        self.way, self.layers = way, nn.ModuleList(Layer(g) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x) if self.way == "plain" else checkpoint(layer, x, use_reentrant=self.way == "reentrant")
            x = x + x.tanh()
        return x


def score(out: Tensor) -> Tensor:
    return (out[:, 0].tanh() * torch.arange(8, dtype=out.dtype)).sum()


def stack(way: str, dtype: torch.dtype = torch.float64) -> tuple[Stack, Tensor]:
    x = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return Stack(way).to(dtype), x.to(dtype)


def by_hand(dtype: torch.dtype = torch.float64, context: Callable[[], Any] | None = None) -> Pairs:
    net, x = stack("plain", dtype)
    kept: list[Tensor] = []
    for layer in net.layers:
        layer.kept = kept  # type: ignore[assignment]
    if context is None:
        score(net(x.requires_grad_())).backward()
    else:
        with context():
            out = net(x.requires_grad_())
        score(out.float()).backward()
    return pairs_of(kept)


@pytest.mark.parametrize("way", ["reentrant", "not reentrant"])
def test_checkpointed(way: str) -> None:
    net, x = stack(way)
    with rg.watch(net, keep=KEEP) as record:
        out = score(net(x.requires_grad_()))
        if way == "reentrant":  # torch takes no other way through these, and it fills the record as well
            out.backward()
        else:
            record.backward(out)
    hold(list(record), by_hand())


def test_compiled() -> None:
    net, x = stack("plain")
    compiled = torch.compile(net, backend="aot_eager")
    plain = compiled(x)
    with rg.watch(compiled, keep=KEEP) as record:
        record.backward(score(compiled(x)))
    hold(list(record), by_hand())
    torch.testing.assert_close(compiled(x), plain, rtol=0, atol=0)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_under_autocast(half: torch.dtype) -> None:
    """In half precision two ways agree as far as it goes: ours is no further from the truth than torch's own."""
    context = partial(torch.autocast, "cpu", dtype=half)
    truth, halves = by_hand(), by_hand(torch.float32, context)
    net, x = stack("plain", torch.float32)
    with rg.watch(net, keep=KEEP) as record:
        with context():
            out = net(x)
        record.backward(score(out.float()))
    for name in KEEP:
        kept = [r[name].double() for r in record]
        wanted, rough = expected(truth, name), [g.double() for g in expected(halves, name)]
        ours, theirs = (sum(float((a - b).norm()) for a, b in zip(way, wanted, strict=True)) for way in (kept, rough))
        assert ours < 1.5 * theirs + 1e-3
        assert ours < 0.1 * sum(float(w.norm()) for w in wanted)
