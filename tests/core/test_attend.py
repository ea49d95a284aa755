"""Edited and tapped calls: the kernel's own output, and gradients that equal autograd's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from regard.core import attend as attend_module
from regard.core import call as call_module
from regard.core.attend import attend, fused
from regard.core.call import Call, Rows, Rule, Tap
from regard.errors import CallError, EditError

from .test_call import CASES, kernel, make


def tapped(call: Call) -> tuple[Tap, list[tuple[int, torch.Tensor, torch.Tensor]]]:
    seen: list[tuple[int, torch.Tensor, torch.Tensor]] = []
    leaf = torch.zeros((), requires_grad=True)
    return Tap(leaf, lambda rows, g: seen.append((rows.start, rows.probs.clone(), g.clone()))), seen


def leaves(call: Call) -> list[torch.Tensor]:
    """q, k, v and a float bias, asking for gradients."""
    given = [call.q, call.k, call.v]
    if call.bias is not None and call.bias.dtype != torch.bool:
        given.append(call.bias)
    return [t.detach().clone().requires_grad_() for t in given if t is not None]


def on(call: Call, tensors: list[torch.Tensor]) -> Call:
    bias = tensors[3] if len(tensors) > 3 else call.bias
    return replace(call, q=tensors[0], k=tensors[1], v=tensors[2], bias=bias)


@pytest.mark.parametrize("name", CASES)
def test_the_fused_kernel_is_the_models(name: str) -> None:
    c = make(**CASES[name])  # type: ignore[arg-type]
    torch.testing.assert_close(fused(c), kernel(c), rtol=1e-12, atol=1e-12)
    assert torch.equal(attend(c)[0], fused(c))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 100, 1 << 21])
def test_streamed_gradients_equal_autograds(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "BLOCK", size)
    c = make(**CASES[name])  # type: ignore[arg-type]
    weight = torch.randn(2, 4, 7, 2, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    ours, theirs = leaves(c), leaves(c)
    tap, seen = tapped(c)
    out, _ = attend(on(c, ours), [tap])
    got = torch.autograd.grad((out.tanh() * weight).sum(), [*ours, tap.leaf])
    eager = on(c, theirs)
    probs = eager.probs()
    plain = probs @ eager.values_per_head
    assert torch.equal(out, fused(c))
    wanted = torch.autograd.grad((plain.tanh() * weight).sum(), [*theirs, probs])
    for a, b in zip(got[:-1], wanted[:-1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(torch.cat([g for _, _, g in seen], dim=2), wanted[-1], rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(torch.cat([p for _, p, _ in seen], dim=2), probs.detach(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", [(1, 4, 7, 5), (4, 1, 5), (7, 1), (2, 1, 1, 5), (5,), (1, 1, 7, 5)])
def test_the_gradient_of_a_bias_is_summed_over_what_it_is_broadcast_over(shape: tuple[int, ...]) -> None:
    c = make(bias=torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    ours, theirs = leaves(c), leaves(c)
    tap, _ = tapped(c)
    (got,) = torch.autograd.grad(attend(on(c, ours), [tap])[0].square().sum(), ours[3])
    (wanted,) = torch.autograd.grad(kernel(on(c, theirs)).square().sum(), theirs[3])
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-11)


def test_a_dropped_bias_gradient_turns_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: forgetting it raises nothing."""
    monkeypatch.setattr(attend_module, "_add_bias", lambda *_: None)
    with pytest.raises(AssertionError):
        test_the_gradient_of_a_bias_is_summed_over_what_it_is_broadcast_over((1, 4, 7, 5))


def test_frozen_calls_are_tapped_and_only_what_is_needed_is_computed() -> None:
    c = make()
    tap, seen = tapped(c)
    out, _ = attend(c, [tap])
    (zero,) = torch.autograd.grad(out.sum(), tap.leaf)
    assert float(zero) == 0.0
    assert len(seen) == 1
    torch.testing.assert_close(seen[0][2], c.v.sum(-1)[:, :, None].expand(-1, -1, 7, -1))


RULES: dict[str, Callable[[Call], Call]] = {
    "rule": lambda c: c.with_rule(Rule(lambda p, start, _: p**2)),
    "closed rule": lambda c: c.with_rule(
        Rule(lambda p, start, _: 0.5 * p, lambda before, product: 0.5 * product(before.values))
    ),
    "logits": lambda c: c.with_logits(lambda s, start: s * 2 + 1),
    "by hand": lambda c: replace(c, weights=c.probs().detach()),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("size", [1, 1 << 21])
def test_edited_calls_are_tapped_at_their_final_probabilities(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_module, "BLOCK", size)
    c = RULES[name](make())
    tap, seen = tapped(c)
    out, _ = attend(c, [tap])
    torch.autograd.grad(out.square().sum(), tap.leaf)
    probs = c.probs().detach().requires_grad_()
    torch.testing.assert_close(out.detach(), probs.detach() @ c.values_per_head)
    (wanted,) = torch.autograd.grad((probs @ c.values_per_head).square().sum(), probs)
    seen.sort(key=lambda one: one[0])  # autograd visits the blocks from the last to the first
    torch.testing.assert_close(torch.cat([g for _, _, g in seen], dim=2), wanted)
    torch.testing.assert_close(torch.cat([p for _, p, _ in seen], dim=2), probs.detach())


def test_several_taps_all_see_it() -> None:
    c = make()
    (one, first), (two, second) = tapped(c), tapped(c)
    out, _ = attend(c, [one, two])
    torch.autograd.grad(out.sum(), [one.leaf, two.leaf])
    assert torch.equal(first[0][2], second[0][2])


def test_dropout_is_the_models_own_and_cannot_be_tapped() -> None:
    c = replace(make(), dropout=0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        a = fused(c)
        torch.manual_seed(3)
        b = F.scaled_dot_product_attention(c.q, c.k, c.v, dropout_p=0.5, scale=c.scale)
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
        by_rows = attend(c.with_rule(Rule(lambda p, *_: p)))[0]
        assert not torch.allclose(by_rows, fused(make()))
    with pytest.raises(CallError, match="drops attention at random"):
        attend(c, [tapped(c)[0]])


def test_half_precision_stays_what_it_was() -> None:
    c = make()
    half = replace(c, q=c.q.bfloat16(), k=c.k.bfloat16(), v=c.v.bfloat16())
    tap, seen = tapped(half)
    q = half.q.clone().requires_grad_()
    out, _ = attend(replace(half, q=q), [tap])
    assert torch.equal(out, fused(half))
    (grad,) = torch.autograd.grad(out.float().square().sum(), q)
    assert (out.dtype, grad.dtype, seen[0][2].dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    assert attend(RULES["rule"](half))[0].dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c.with_rule(Rule(lambda p, *_: p[..., :2])), r"gave \[2, 4, 7, 2\] for \[2, 4, 7, 5\]"),
        (lambda c: c.then(lambda out: out[:1]), r"an edit of the output of attn gave \[1, 4, 7, 2\]"),
        (lambda c: c.then(lambda out: None), "gave NoneType"),
        (
            lambda c: c.then(lambda out: out.half()),
            r"gave \[2, 4, 7, 2\] torch.float16 for \[2, 4, 7, 2\] torch.float64",
        ),
    ],
)
def test_what_does_not_fit_is_refused(change: Callable[[Any], Call], text: str) -> None:
    with pytest.raises(EditError, match=text):
        attend(change(make()))


def test_rows_know_where_they_are() -> None:
    assert Rows(3, torch.zeros(1, 1, 2, 4), torch.ones(1, 1, 2, 4) / 4, 7).stop == 5
