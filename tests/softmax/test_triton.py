"""Plans of the kernels, and the kernels themselves in triton's interpreter, in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

import regard as rg
from regard.errors import CallError
from regard.patterns._axis import steps
from regard.softmax import RelativeTable
from regard.softmax import triton as module
from regard.softmax._problem import problem
from regard.softmax.reference import reference
from regard.softmax.triton import inverse, of_keys, of_queries, three, triton

from .problems import FULL, OTHERS, SEPARABLE, a_problem, agree

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
kernels = pytest.mark.skipif(not INTERPRETED, reason="triton is not interpreted here")
NAMES = ["criss-cross, prefix", "uneven dilation", "three axes", "cross, dense", "blind queries"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_in_the_interpreter() -> None:
    """Everything below that is marked with `kernels`."""
    if INTERPRETED:
        pytest.skip("this is the interpreter")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-k", "TestKernels", __file__]
    done = subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


@kernels
class TestKernels:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "TILE", 32)

    @pytest.mark.parametrize("name", NAMES)
    def test_equals_the_reference(self, name: str) -> None:
        """Output, log sum exp and all gradients, with everything that may go into the logits."""
        given = a_problem(SEPARABLE[name], heads=2, dtype=torch.float32, table=True, **FULL)
        agree(triton, given, tolerance=3e-5)

    def test_boxes_that_need_no_mask(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beside some that do, in both directions: windows of 4 in a picture of 8 x 10, tiles of 4 x 4."""
        monkeypatch.setattr(module, "TILE", 16)
        pattern = rg.patterns.window((8, 10), 4)
        for plan in (of_queries, of_keys):
            (_, counts), table = plan(pattern.boxes[0], 16, torch.device("cpu"))  # type: ignore[index]
            assert table[2, : counts[2], 5].tolist() == [1, 1, 1]
        agree(triton, a_problem(pattern, heads=2, dtype=torch.float32, table=True, mask=True), tolerance=3e-5)

    def test_heads_of_their_own_and_values_of_another_width(self) -> None:
        given = a_problem(SEPARABLE["near"], heads=2, groups=1, values=19, dtype=torch.float32)
        agree(triton, given, tolerance=1e-5, with_lse=False)

    def test_operands_may_lie_in_any_order(self, generator: torch.Generator) -> None:
        q, k, v = (torch.randn(1, 99, 2, 16, generator=generator).transpose(1, 2)[..., ::2] for _ in range(3))
        pattern = SEPARABLE["near"]
        got = rg.attend(q, k, v, pattern=pattern, impl="triton").out
        torch.testing.assert_close(got, rg.attend(q, k, v, pattern=pattern).out, rtol=1e-5, atol=1e-5)
        assert rg.attend(q[:0], k[:0], v[:0], pattern=pattern, impl="triton").out.shape == (0, 2, 99, 8)

    def test_keys_outside_the_window_change_nothing(self, generator: torch.Generator) -> None:
        """30: bitwise; and their gradient is exactly 0. The planted fault is one key inside."""
        pattern, query = SEPARABLE["near"], 40
        q, k, v = (torch.randn(1, 1, 99, 8, generator=generator) for _ in range(3))
        k.requires_grad_(), v.requires_grad_()
        out = rg.attend(q, k, v, pattern=pattern, impl="triton").out
        seen = pattern.mask()[query]
        grads = torch.autograd.grad(out[:, :, query].sum(), (k, v))
        assert all(g[:, :, ~seen].eq(0).all() and g[:, :, seen].ne(0).any() for g in grads)
        for where, same in ((~seen, True), (seen, False)):
            moved = v.detach().clone()
            moved[:, :, where] += 1
            again = rg.attend(q, k.detach(), moved, pattern=pattern, impl="triton").out
            assert again[:, :, query].equal(out[:, :, query]) is same

    def test_no_second_derivative(self) -> None:
        it, _ = a_problem(SEPARABLE["near"], heads=2, dtype=torch.float32)
        with pytest.raises(CallError, match="the kernels have no second derivative"):
            torch.autograd.grad(triton(it)[0].sum(), it.q, create_graph=True)

    def test_half_types(self) -> None:
        it, _ = a_problem(SEPARABLE["criss-cross, prefix"], heads=2, dtype=torch.float16, sink=True)
        out, lse = triton(it)
        wide, wide_lse = reference(it)
        assert (out.dtype, lse.dtype) == (torch.float16, torch.float32)
        torch.testing.assert_close(out, wide, rtol=4e-3, atol=4e-3)
        torch.testing.assert_close(lse, wide_lse, rtol=4e-3, atol=4e-3)


@pytest.mark.parametrize("name", SEPARABLE)
def test_the_queries_that_see_a_key_are_an_interval(name: str) -> None:
    for box in SEPARABLE[name].boxes or ():
        for axis in box:
            assert inverse(axis).support().equal(axis.support().T)


@pytest.mark.parametrize("name", SEPARABLE)
@pytest.mark.parametrize("plan", [of_queries, of_keys])
def test_tiles_hold_each_token_once_and_boxes_all_that_it_sees(name: str, plan: object) -> None:
    for box in SEPARABLE[name].boxes or ():
        (shape, counts), table = plan(box, 16, torch.device("cpu"))  # type: ignore[operator]
        assert torch.Size(shape).numel() == 16
        axes = three(box) if plan is of_queries else tuple(map(inverse, three(box)))
        for axis, size, count, rows in zip(axes, shape, counts, table.tolist(), strict=True):
            held, seen = torch.zeros(axis.queries), torch.zeros(axis.queries, axis.keys, dtype=torch.bool)
            for residue, first, real, start, span, whole in rows[:count]:
                assert real <= size
                mine = residue + axis.dilation * torch.arange(first, first + real)
                theirs = residue + axis.dilation * torch.arange(start, start + span)
                assert start + span <= steps(axis.keys, axis.dilation, residue)
                held[mine] += 1
                seen[mine[:, None], theirs] = True
                assert bool(whole) is bool(axis.support()[mine[:, None], theirs].all()) or not span
            assert held.eq(1).all()
            assert seen[axis.support()].all()


def test_tiles_take_the_shape_that_computes_least() -> None:
    (line,) = rg.patterns.axial((32, 32), 1).boxes or ()
    assert of_queries(line, 16, torch.device("cpu"))[0][0] == (1, 1, 16)
    (near,) = rg.patterns.neighborhood((32, 32), 7).boxes or ()
    assert of_queries(near, 16, torch.device("cpu"))[0][0] == (1, 4, 4)


def test_refusals() -> None:
    x = torch.zeros(1, 1, 9, 4)
    line = rg.patterns.window(9, 3)

    def made(pattern: object = line, **given: object) -> object:
        return triton(problem(x, x, x, pattern, **{k: given.get(k) for k in NONE}))  # type: ignore[arg-type]

    if not INTERPRETED:
        with pytest.raises(CallError, match="triton is for GPUs, q is on cpu"):
            rg.attend(x, x, x, pattern=line, impl="triton")
    with pytest.raises(CallError, match=r"no kernel for torch\.float64"):
        rg.attend(x.double(), x.double(), x.double(), pattern=line, impl="triton")
    with pytest.raises(CallError, match="has no intervals to make tiles of"):
        triton(a_problem(OTHERS["regions"], dtype=torch.float32)[0])
    with pytest.raises(CallError, match="a bias of single pairs is as large"):
        made(bias=torch.zeros(9, 9))
    with pytest.raises(CallError, match="the bias needs a gradient, which the kernels do not give"):
        made(bias=RelativeTable(torch.zeros(1, 17, requires_grad=True)))
    wide = torch.zeros(1, 1, 9, 129)
    with pytest.raises(CallError, match="heads of 129, 128 at most"):
        rg.attend(wide, wide, wide, pattern=line, impl="triton")


NONE = ("bias", "scale", "mask", "extra", "sink")
