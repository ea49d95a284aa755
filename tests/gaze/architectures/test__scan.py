"""The scan of all tokens at once equals the recurrence one by one, in four directions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from regard.gaze.architectures._scan import FourScans, recurrence


@pytest.mark.parametrize(("n", "chunk"), [(2, 4), (5, 4), (13, 5), (16, 16), (33, 8)])
def test_recurrence_equals_the_loop(n: int, chunk: int, generator: torch.Generator) -> None:
    decay = torch.rand(2, n, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    given = torch.randn(2, n, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    made = recurrence(decay, given, chunk=chunk)
    state, done = torch.zeros(2, 3, dtype=torch.float64), []
    for i in range(n):
        state = decay[:, i] * state + given[:, i]
        done.append(state)
    slow = torch.stack(done, 1)
    assert torch.allclose(made, slow, atol=1e-12)
    weights = torch.randn(made.shape, generator=generator, dtype=torch.float64)
    ours = torch.autograd.grad((made * weights).sum(), (decay, given), retain_graph=True)
    theirs = torch.autograd.grad((slow * weights).sum(), (decay, given))
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(ours, theirs, strict=True))


def test_four_scans_equal_loops_over_tokens(generator: torch.Generator) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        scans = FourScans(6, states=3, rank=2).double()
    x = torch.randn(1, 3, 4, 6, generator=generator, dtype=torch.float64)
    total = torch.zeros_like(x)
    rows = [(r, c) for r in range(3) for c in range(4)]
    columns = [(r, c) for c in range(4) for r in range(3)]
    for k, order in enumerate((rows, columns, rows[::-1], columns[::-1])):
        state = torch.zeros(6, 3, dtype=torch.float64)
        for r, c in order:
            token = x[0, r, c]
            low, b, out = (scans.select[k] @ token).split([2, 3, 3])
            step = F.softplus(scans.step[k] @ low + scans.bias[k])
            state = torch.exp(-step[:, None] * scans.log_a[k].exp()) * state + (step * token)[:, None] * b
            total[0, r, c] += state @ out + scans.skip[k] * token
    assert torch.allclose(scans(x), total, atol=1e-12)
