"""Over two hundred models, each watched once: outputs, state, exactness, and that no call goes unseen or untold.

The tables say for each what is to be seen, counted in its source. Below them, torch's dispatcher is
asked how much attention there really was.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.core.record import Reading, Record
from regard.mechanisms.dispatch import Dispatched

from .builders import TABLES, ZOO
from .variant import Forward, Variant, tensors

KEEP = [rg.probes.entropy, rg.probes.received]


@pytest.mark.parametrize("name", ZOO)
def test_zoo(name: str) -> None:
    variant = ZOO[name]
    model, forward = variant()
    plain = forward()
    before = state(model)
    with rg.watch(model, keep=KEEP) as record:
        watched = forward()
    neutral(plain, watched, fast=variant.fast)
    restored(dict(before), state(model))
    seen(record, variant)
    with Dispatched() as dispatched:
        forward()
    assert dispatched.total - len(record) - sum(record.not_covered.values()) == variant.gap, dispatched.counts
    exact(record, variant.mixed)
    everywhere(model, forward, variant.mixed)
    edited(model, forward, plain, record)
    restored(before, state(model))


def neutral(plain: Any, watched: Any, *, fast: bool) -> None:
    """Not a bit of the output is changed, unless torch has a faster kernel for when no one looks."""
    before, after = tensors(plain), tensors(watched)
    assert len(before) == len(after) > 0
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5 if fast else 0, equal_nan=True)


def state(model: nn.Module) -> dict[str, Any]:
    """All that a watch could leave behind."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "modes": (torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()),
        "hooks": [(name, len(getattr(m, kind))) for name, m in model.named_modules() for kind in hooks],
        "training": [m.training for m in model.modules()],
        "attributes": [sorted(vars(m)) for m in model.modules()],
        "parameters": [(name, p.requires_grad, p._version, p.grad is None) for name, p in model.named_parameters()],
        "buffers": {name: b.clone() for name, b in model.named_buffers()},
    }


def restored(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = before.pop("buffers"), after.pop("buffers")
    assert before == after
    assert old.keys() == new.keys()
    for name in old:
        assert torch.equal(old[name], new[name]), name


def seen(record: Record, variant: Variant) -> None:
    assert len(record) == variant.calls
    assert dict(record.not_covered) == dict(variant.told)


def exact(record: Record, mixed: bool) -> None:
    """Each reading agrees with the kernel, and its numbers are in their range."""
    for reading in record:
        assert float(reading.error) < 1e-4, reading
        entropy, received = reading["entropy"], reading["received"]
        assert mixed or entropy.isfinite().all(), reading
        assert received.isfinite().all(), reading
        if not mixed:
            assert (entropy >= 0).all(), reading
            assert (entropy <= math.log2(reading.keys) + 1e-5).all(), reading
            assert (received >= 0).all(), reading


def everywhere(model: nn.Module, forward: Forward, mixed: bool) -> None:
    """All rows of all calls: attention times values is what the model's own kernel gave."""
    with rg.watch(model, keep=["probs", "v", "out"]) as record:
        forward()
    rows = []
    for reading in record:
        probs, v, out = reading["probs"], reading["v"], reading["out"]
        assert probs.shape == (reading.batch, reading.heads, reading.queries, reading.keys)
        assert out.shape[:3] == probs.shape[:3]
        groups = reading.heads // v.shape[1]
        made = probs @ v.to(probs.dtype).repeat_interleave(groups, dim=1)
        torch.testing.assert_close(made.to(out.dtype), out, rtol=1e-4, atol=float(1e-4 * out.abs().amax()))
        rows.append(probs.sum(-1).flatten())
    if rows:
        total = torch.cat(rows)
        distributions = torch.isclose(total, total.round(), atol=1e-4) & (total.round() <= 1)  # 0: nothing may be seen
        assert bool(distributions.all()) is not mixed


def edited(model: nn.Module, forward: Forward, plain: Any, record: Record) -> None:
    """An edit that changes nothing leaves the output; one that takes all heads away leaves none of their output."""
    sites = sorted({reading.site for reading in record})
    if not sites:
        return
    with rg.edit(model, lambda probs: probs * 1.0, sites):
        same = tensors(forward())
    for a, b in zip(tensors(plain), same, strict=True):
        if a.is_floating_point():
            torch.testing.assert_close(a, b, rtol=1e-3, atol=float(1e-3 * a.abs().nan_to_num().amax()), equal_nan=True)
    with rg.watch(model, sites, keep="out") as gone, rg.edit(model, rg.edits.ablate(), sites) as edits:
        forward()
    assert not any(bool(reading["out"].any()) for reading in gone)
    assert sum(edits.sites.values()) == len(gone)


def test_names_are_told_once() -> None:
    assert len(ZOO) == sum(len(table) for table in TABLES) >= 200


def test_exceptions_need_a_reason() -> None:
    def build() -> Any: ...

    for options in ({"calls": 0}, {"calls": 1, "gap": 1}, {"calls": 1, "told": {"a: b": 1}}):
        with pytest.raises(ValueError, match="reason"):
            Variant(build, **options)  # type: ignore[arg-type]


def test_the_checks_can_fail() -> None:
    one = torch.ones(2, 2)
    neutral(one, one.clone(), fast=False)
    for other in (one + 1e-6, one[:1], [one, one], torch.full((2, 2), torch.nan)):
        with pytest.raises(AssertionError):
            neutral(one, other, fast=False)
    model = nn.BatchNorm1d(3)
    before = state(model)
    restored(dict(before), state(model))
    model(torch.arange(6.0).view(2, 3))  # in training: it counts
    with pytest.raises(AssertionError):
        restored(dict(before), state(model))
    reading = fake(entropy=torch.full((1, 1, 1), 2.1))
    with pytest.raises(AssertionError):
        exact(Record([reading]), mixed=False)
    exact(Record([reading]), mixed=True)
    with pytest.raises(AssertionError):
        exact(Record([fake(error=torch.tensor(1e-3))]), mixed=True)


def fake(entropy: Tensor | None = None, error: Tensor | None = None) -> Reading:
    """A reading of four keys."""
    values = {"entropy": torch.zeros(1, 1, 1) if entropy is None else entropy, "received": torch.ones(1, 1, 4)}
    return Reading(
        site="a", index=0, mechanism="", batch=1, heads=1, queries=1, keys=4, scale=1.0, causal=False, bias=None,
        grid=None, error=torch.zeros(()) if error is None else error, values=values,
    )  # fmt: skip
