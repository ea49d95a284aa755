from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.errors import CallError, DegenerateError
from regard.softmax import RelativeTable, _compiled, _ops
from regard.softmax import native as module
from regard.softmax._problem import Problem, problem
from regard.softmax.native import native
from regard.softmax.reference import reference

from .problems import FULL, OTHERS, SEPARABLE, a_problem, agree

there = pytest.mark.skipif(not any(map(shutil.which, _compiled.COMPILERS)), reason="no C++ compiler")
pytestmark = there


def in_float32(given: Problem) -> tuple[Tensor, Tensor]:
    """For leaves, and an oracle, in float64."""
    out, lse = native(given.to(torch.float32))
    return out.double(), lse.double()


def plain(*x: Tensor, pattern: rg.patterns.Pattern) -> tuple[Tensor, Tensor]:
    return native(problem(*x, pattern, None, None, None, None, None))


@pytest.fixture
def small_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Room for two vectors of logits: softmax goes on from chunk to chunk, along rows and within them."""
    monkeypatch.setattr(module, "ROOM", 16)
    return


@pytest.mark.parametrize("name", SEPARABLE)
def test_equals_the_reference(name: str) -> None:
    """Forward and all gradients: padding, more keys, a sink, shared heads, widths that are no multiple of lanes."""
    agree(in_float32, a_problem(SEPARABLE[name], **FULL), tolerance=1e-5)
    agree(in_float32, a_problem(SEPARABLE[name], table=True, mask=True, seed=1), tolerance=1e-5)
    agree(in_float32, a_problem(SEPARABLE[name], groups=4, dim=40, values=24, seed=2), tolerance=1e-5, with_lse=False)


@pytest.mark.usefixtures("small_room")
@pytest.mark.parametrize("name", SEPARABLE)
def test_chunk_by_chunk(name: str) -> None:
    agree(in_float32, a_problem(SEPARABLE[name], heads=2, groups=1, values=11, table=True, mask=True), tolerance=1e-5)


def test_random_neighborhoods(generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh settings, against an oracle that knows nothing of intervals."""

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    for seed in range(12):
        rank = pick(1, 3)
        axes = tuple(pick(3, 40 // rank) for _ in range(rank))
        dilation = tuple(pick(1, min(3, n)) for n in axes)
        window = tuple(pick(1, n // d) for n, d in zip(axes, dilation, strict=True))
        stride = tuple(pick(1, k) for k in window)
        pattern = rg.patterns.neighborhood(axes, window, stride, dilation, tuple(bool(pick(0, 1)) for _ in axes))
        monkeypatch.setattr(module, "ROOM", pick(1, 60))
        given = a_problem(pattern, heads=2, groups=pick(1, 2), dim=8 * pick(1, 5), seed=seed, mask=bool(pick(0, 1)))
        agree(in_float32, given, tolerance=2e-5)


@pytest.mark.parametrize("gain", [1.0, 8.0, 60.0])
def test_it_is_as_exact_as_float32_can_be(gain: float, generator: torch.Generator) -> None:
    """At a gain of 60, logits are up to some hundreds: most probabilities vanish, and exp is taken far down."""
    pattern = rg.patterns.neighborhood((28, 28), 7)
    x = [torch.randn(1, 2, 784, 32, generator=generator) for _ in range(3)]
    x[0] *= gain
    found = []
    for function, given in ((native, x), (reference, [one.double() for one in x])):
        leaves = [one.requires_grad_() for one in given]
        out, lse = function(problem(*leaves, pattern, None, None, None, None, None))
        found.append([out, lse, *torch.autograd.grad(out.sin().sum(), leaves)])
    for at, (got, wide) in enumerate(zip(*found, strict=True)):
        assert float((got - wide).detach().norm() / wide.detach().norm()) < (1e-6 if at < 2 else 1e-5) * max(
            1, gain / 8
        )


def test_what_is_not_seen_changes_nothing_bitwise(generator: torch.Generator) -> None:
    """Though it lies in the same vectors; its gradient is exactly 0. Queries without keys: zeros, and -inf."""
    pattern = rg.patterns.neighborhood((16, 16), 3)
    q, k, v = (torch.randn(1, 2, 256, 8, generator=generator) for _ in range(3))
    k.requires_grad_(), v.requires_grad_()
    out, _ = plain(q, k, v, pattern=pattern)
    query = 5 * 16 + 7
    grads = torch.autograd.grad(out[:, :, query].sum(), (k, v))
    seen = pattern.mask()[query]
    assert all(g[:, :, ~seen].eq(0).all() and g[:, :, seen].ne(0).any() for g in grads)
    moved = v.detach().clone()
    moved[:, :, ~seen] = 100.0
    assert plain(q, k, moved, pattern=pattern)[0][:, :, query].equal(out[:, :, query])
    nobody = torch.zeros(1, 256, dtype=torch.bool)
    blind, lse = native(problem(q, k, v, pattern, None, None, nobody, None, None))
    assert blind.eq(0).all()
    assert lse.eq(-torch.inf).all()
    assert all(g.eq(0).all() for g in torch.autograd.grad(blind.sum(), (k, v)))


def test_nan_and_infinity_come_through(generator: torch.Generator) -> None:
    q, k, v = (torch.randn(1, 1, 100, 8, generator=generator) for _ in range(3))
    near = rg.patterns.neighborhood((10, 10), 3)
    for x, value in ((q, torch.nan), (k, torch.nan), (v, torch.nan), (v, torch.inf)):
        kept = float(x[0, 0, 44, 3])
        x[0, 0, 44, 3] = value
        assert not plain(q, k, v, pattern=near)[0][0, 0, 44].isfinite().all()
        assert plain(q, k, v, pattern=near)[0][0, 0, 99].isfinite().all()
        x[0, 0, 44, 3] = kept
    q[0, 0, 0, 0] = torch.nan
    with pytest.raises(DegenerateError, match="q has 1"):
        rg.attend(q, k, v, pattern=near, impl="native")


def test_inputs_may_lie_in_any_order_and_batch_is_independent(generator: torch.Generator) -> None:
    pattern = SEPARABLE["near"]
    x = [torch.randn(2, 99, 3, 16, generator=generator)[..., ::2].transpose(1, 2) for _ in range(3)]
    whole, lse = plain(*x, pattern=pattern)
    assert whole.equal(plain(*(one.contiguous() for one in x), pattern=pattern)[0])
    heads_last = [one.transpose(1, 2).contiguous().transpose(1, 2).requires_grad_() for one in x]
    assert whole.equal(plain(*heads_last, pattern=pattern)[0])
    grads = torch.autograd.grad(plain(*heads_last, pattern=pattern)[0].sum(), heads_last)
    contiguous = [one.contiguous().requires_grad_() for one in x]
    for got, expected in zip(
        grads, torch.autograd.grad(plain(*contiguous, pattern=pattern)[0].sum(), contiguous), strict=True
    ):
        assert got.equal(expected)
    for b in range(2):
        assert plain(*(one[b : b + 1] for one in x), pattern=pattern)[1].equal(lse[b : b + 1])
    before = torch.get_num_threads()
    for threads in (1, 2):  # parts are shared out among threads, and of nothing there are none
        torch.set_num_threads(threads)
        try:
            assert plain(*(one[:0] for one in x), pattern=pattern)[0].shape == (0, 3, 99, 8)
        finally:
            torch.set_num_threads(before)


def test_threads_do_not_change_a_bit(generator: torch.Generator) -> None:
    """More threads than heads: forward is done in parts."""
    pattern = rg.patterns.neighborhood((11, 13), 5, dilation=(1, 2))
    x = [torch.randn(1, 2, 143, 16, generator=generator).requires_grad_() for _ in range(3)]
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            out, lse = plain(*x, pattern=pattern)
            found.append([out, lse, *torch.autograd.grad((out * out.detach()).sum(), x)])
    finally:
        torch.set_num_threads(before)
    assert all(one.equal(other) for one, other in zip(*found, strict=True))


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # opcheck's own
def test_it_is_an_op_of_compiled_graphs(generator: torch.Generator) -> None:
    pattern = SEPARABLE["criss-cross, prefix"]
    q, k, v = (torch.randn(1, 2, 37, 8, generator=generator) for _ in range(3))
    expected = plain(q, k, v, pattern=pattern)
    made = _ops.call("native", problem(q, k, v, pattern, None, None, None, None, None))
    assert all(map(torch.equal, made, expected))
    facts = "native", _ops.number(pattern), 0.3
    given = (*(x.requires_grad_() for x in (q, k, v)), *(None,) * 6, *facts)
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    assert set(torch.library.opcheck(torch.ops.regard.attend, given, test_utils=tests).values()) == {"SUCCESS"}


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    it, _ = a_problem(SEPARABLE["near"])
    with pytest.raises(CallError, match=r"impl='native' is for float32, q is torch.float64"):
        native(it)
    it = it.to(torch.float32)
    with pytest.raises(CallError, match=r"random\(5x7\+2, 4, seed=0\) has no intervals to make tiles of"):
        native(a_problem(OTHERS["random, prefix"], dtype=torch.float32)[0])
    with pytest.raises(CallError, match="a bias of single pairs is as large as what tiles avoid"):
        native(problem(it.q, it.k, it.v, it.pattern, torch.zeros(99, 99), None, None, None, None))
    table = RelativeTable(torch.zeros(4, 17, 21, requires_grad=True))
    with pytest.raises(CallError, match="the bias needs a gradient"):
        native(problem(it.q, it.k, it.v, it.pattern, table, None, None, None, None))
    with pytest.raises(CallError, match="for CPUs, q is on meta"):
        plain(*(x.to("meta") for x in (it.q, it.k, it.v)), pattern=it.pattern)
    out, _ = plain(*(x.requires_grad_() for x in (it.q, it.k, it.v)), pattern=it.pattern)
    with pytest.raises(CallError, match="no second derivative"):
        torch.autograd.grad(out.sum(), it.q, create_graph=True)
    with pytest.raises(CallError, match=r"torch\.func cannot look into native"):
        torch.func.grad(lambda q: rg.attend(q, it.k, it.v, pattern=it.pattern, impl="native").out.sum())(it.q)
    assert rg.attend(it.q, it.k, it.v, pattern=it.pattern).impl != "native"  # auto never takes it
    monkeypatch.setattr(_compiled.shutil, "which", lambda _: None)
    with pytest.raises(CallError, match="there is no C\\+\\+ compiler") as refused:
        native(it)
    assert "impl='tiled'" in refused.value.hint
