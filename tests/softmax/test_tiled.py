from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.errors import CallError
from regard.softmax._problem import problem
from regard.softmax.tiled import tiled

from .problems import FULL, OTHERS, SEPARABLE, a_problem, agree, small_tiles


@pytest.mark.parametrize("name", SEPARABLE)
def test_equals_the_reference(name: str) -> None:
    """Forward and all gradients, in float64, with odd sizes, seams everywhere and a last tile that is moved back."""
    with small_tiles(3):
        agree(tiled, a_problem(SEPARABLE[name], **FULL))
    with small_tiles(2, 5):
        agree(tiled, a_problem(SEPARABLE[name], heads=2, groups=1, values=11, seed=1))
    agree(tiled, a_problem(SEPARABLE[name], groups=4, seed=2), with_lse=False)


@pytest.mark.parametrize("name", SEPARABLE)
def test_a_table_of_biases(name: str) -> None:
    with small_tiles(3):
        agree(tiled, a_problem(SEPARABLE[name], table=True, mask=True))


def test_random_neighborhoods(generator: torch.Generator) -> None:
    """Fresh settings, against an oracle that knows nothing of intervals."""

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    for seed in range(12):
        rank = pick(1, 3)
        axes = tuple(pick(3, 30 // rank) for _ in range(rank))
        dilation = tuple(pick(1, min(3, n)) for n in axes)
        window = tuple(pick(1, n // d) for n, d in zip(axes, dilation, strict=True))
        stride = tuple(pick(1, k) for k in window)
        causal = tuple(bool(pick(0, 1)) for _ in axes)
        pattern = rg.patterns.neighborhood(axes, window, stride, dilation, causal)
        with small_tiles(pick(1, 4), pick(2, 7)):
            agree(
                tiled, a_problem(pattern, heads=2, groups=pick(1, 2), dim=4, values=4, seed=seed, mask=bool(pick(0, 1)))
            )


def test_inputs_may_lie_in_any_order_and_batch_is_independent(generator: torch.Generator) -> None:
    """35: heads last, strided, split."""
    pattern = SEPARABLE["near"]
    q, k, v = (torch.randn(2, 99, 3, 16, generator=generator)[..., ::2].transpose(1, 2) for _ in range(3))

    def run(*x: Tensor) -> Tensor:
        return tiled(problem(*x, pattern, None, None, None, None, None))[0]

    whole = run(q, k, v)
    assert whole.equal(run(*(x.contiguous() for x in (q, k, v))))
    for b in range(2):
        torch.testing.assert_close(run(*(x[b : b + 1] for x in (q, k, v))), whole[b : b + 1], rtol=1e-6, atol=1e-6)
    assert run(*(x[:0] for x in (q, k, v))).shape == (0, 3, 99, 8)


@pytest.mark.parametrize("gain", [1.0, 8.0])
def test_float32_is_as_exact_as_float32_can_be(gain: float, generator: torch.Generator) -> None:
    pattern = rg.patterns.neighborhood((28, 28), 7)
    q, k, v = (torch.randn(1, 2, 784, 32, generator=generator) for _ in range(3))
    q = q * gain
    out, lse = tiled(problem(q, k, v, pattern, None, None, None, None, None))
    from regard.softmax.reference import reference

    wide, wide_lse = reference(problem(q.double(), k.double(), v.double(), pattern, None, None, None, None, None))
    assert float((out - wide).norm() / wide.norm()) < 1e-6
    assert float((out - wide).abs().max()) < 7e-6
    torch.testing.assert_close(lse.double(), wide_lse, rtol=1e-6, atol=1e-5)


def test_keys_outside_the_window_change_nothing_bitwise(generator: torch.Generator) -> None:
    """30: and their gradient is exactly 0."""
    pattern = rg.patterns.neighborhood((16, 16), 3)
    q, k, v = (torch.randn(1, 2, 256, 8, generator=generator) for _ in range(3))
    k.requires_grad_(), v.requires_grad_()
    out, _ = tiled(problem(q, k, v, pattern, None, None, None, None, None))
    query = 5 * 16 + 7
    grads = torch.autograd.grad(out[:, :, query].sum(), (k, v))
    seen = pattern.mask()[query]
    assert all(g[:, :, ~seen].eq(0).all() and g[:, :, seen].ne(0).any() for g in grads)
    moved = v.detach().clone()
    moved[:, :, ~seen] = 100.0
    again, _ = tiled(problem(q, k, moved, pattern, None, None, None, None, None))
    assert again[:, :, query].equal(out[:, :, query])


def test_constant_scores_are_a_box_filter(generator: torch.Generator) -> None:
    """28: inside, where windows are not moved."""
    v = torch.randn(1, 2, 144, 4, generator=generator, dtype=torch.float64)
    zero = torch.zeros_like(v)
    out, _ = tiled(problem(zero, zero, v, rg.patterns.neighborhood((12, 12), 5), None, None, None, None, None))
    picture = v.transpose(2, 3).reshape(2, 4, 12, 12)
    pooled = torch.nn.functional.avg_pool2d(picture, 5, 1)
    inside = out.transpose(2, 3).reshape(2, 4, 12, 12)[:, :, 2:-2, 2:-2]
    torch.testing.assert_close(inside, pooled, rtol=1e-12, atol=1e-13)


def test_gradcheck() -> None:
    it, leaves = a_problem(rg.patterns.neighborhood((3, 4), 2), heads=1, groups=1, dim=2, values=2)

    def function(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return tiled(problem(q, k, v, it.pattern, None, None, None, None, None))[0]

    with small_tiles(2):
        assert torch.autograd.gradcheck(function, leaves)


def test_refusals() -> None:
    with pytest.raises(CallError, match=r"random\(5x7\+2, 4, seed=0\) has no intervals to make tiles of"):
        tiled(a_problem(OTHERS["random, prefix"])[0])
    it, _ = a_problem(SEPARABLE["near"])
    with pytest.raises(CallError, match="a bias of single pairs is as large as what tiles avoid"):
        tiled(problem(it.q, it.k, it.v, it.pattern, torch.zeros(99, 99), None, None, None, None))


@pytest.mark.slow
def test_a_large_picture_needs_memory_of_its_own_size_only() -> None:
    """512 x 512 tokens, forward and backward: a mask of all pairs would take 64 GiB."""
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    operands, held = map(float, done.stdout.split())
    assert held < 5 * operands, f"{held:.0f} MiB held for operands of {operands:.0f}"


LARGE = """
import torch, regard as rg
from pathlib import Path
def resident(which):
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(next(line for line in lines if line.startswith(which)).split()[1]) / 1024
torch.set_num_threads(1)
draw = torch.Generator().manual_seed(0)
q, k, v = (torch.randn(1, 1, 512 * 512, 32, generator=draw).requires_grad_() for _ in range(3))
small = [torch.randn(1, 1, 256, 32).requires_grad_() for _ in range(3)]
rg.attend(*small, pattern=rg.patterns.neighborhood((16, 16), 7), impl='tiled').out.sum().backward()
before = resident('VmRSS')
Path('/proc/self/clear_refs').write_text('5')
pattern = rg.patterns.neighborhood((512, 512), 7)
rg.attend(q, k, v, pattern=pattern, impl='tiled').out.sum().backward()
assert all(x.grad.isfinite().all() for x in (q, k, v))
print(3 * q.numel() * 4 / 2**20, resident('VmHWM') - before)
"""
