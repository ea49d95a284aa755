"""lightning-attention-2 works: tiles of any size are the recurrence and the quadratic form, at a linear cost."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, flops, gap, with_gradients

lightning = rg.operators.lightning
DECAY = (0.95, 0.5, 1.0)


def recurrent(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    kept = torch.tensor(DECAY, dtype=q.dtype).view(-1, 1, 1)
    state, rows = q.new_zeros(2, 3, 5, 4), []
    for t in range(q.shape[2]):
        state = kept * state + k[:, :, t, :, None] * v[:, :, t, None]
        rows.append((q[:, :, t, None] @ state)[:, :, 0])
    return torch.stack(rows, 2)


def quadratic(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    apart = (torch.arange(q.shape[2])[:, None] - torch.arange(q.shape[2])).double()
    kept = torch.tensor(DECAY, dtype=q.dtype).view(-1, 1, 1) ** apart.clamp(min=0) * (apart >= 0)
    return (q @ k.mT * kept) @ v


@works("lightning-attention-2")
def test_tiles_equal_the_recurrence_and_the_quadratic_form() -> None:
    """Lengths 1 to 70 and every tile size, outputs and gradients, to 1e-10."""
    for n in (1, 7, 70):
        q, k, v = (drawn(2, 3, n, d, seed=d) for d in (5, 5, 4))
        k = k.flip(2)
        slow = with_gradients(recurrent, q, k, v)
        assert gap(slow, with_gradients(quadratic, q, k, v)) < 1e-10
        for chunk in (1, 2, 3, 16, 64, 100):
            tiled = with_gradients(lambda *x, c=chunk: lightning(*x, decay=DECAY, chunk=c), q, k, v)
            assert gap(tiled, slow) < 1e-10


@works("lightning-attention-2")
def test_cost_is_linear_in_the_length() -> None:
    """Counted operations, which machine noise does not reach: twice for twice the length, forward and backward."""
    few, many = ([drawn(1, 3, n, 16, seed=i).requires_grad_() for i in range(3)] for n in (512, 1024))
    step = lambda *x: torch.autograd.grad(lightning(*x).sum(), x)[0]  # noqa: E731
    assert flops(lightning, *many) == 2 * flops(lightning, *few)
    assert flops(step, *many) == pytest.approx(2 * flops(step, *few), rel=0.01)
    assert flops(quadratic, *many) == 4 * flops(quadratic, *few)


@works("lightning-attention-2")
@pytest.mark.peers
def test_agrees_with_the_naive_reference_of_flash_linear_attention() -> None:
    """Their recurrent and chunked references run in float32, whose rounding is the tolerance."""
    naive = pytest.importorskip("fla.ops.simple_gla.naive")
    q, k, v = (drawn(2, 3, 70, d, seed=d + i).float() for i, d in enumerate((5, 5, 4)))
    ours = lightning(q, k, v, decay=DECAY, chunk=16)
    log = torch.tensor(DECAY).log().expand(2, 70, 3)
    for reference in (naive.naive_recurrent_simple_gla, naive.naive_chunk_simple_gla):
        theirs, _ = reference(*(x.transpose(1, 2) for x in (q, k, v)), log, scale=1.0)
        theirs = theirs.transpose(1, 2) if theirs.shape != ours.shape else theirs
        assert gap(ours, theirs) < 1e-4 * float(ours.abs().max())
