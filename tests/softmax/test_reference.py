from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.errors import CallError
from regard.softmax._problem import problem
from regard.softmax.reference import reference, weigh

from .problems import EVERY, FULL, a_problem


def slow(it: object, b: int, h: int, i: int) -> tuple[Tensor, Tensor]:
    """One query, key by key."""
    p = it  # type: ignore[var-annotated]
    seen = p.pattern.mask()  # type: ignore[attr-defined]
    g = h // p.groups  # type: ignore[attr-defined]
    scores, values = [], []
    for j in range(p.k.shape[2]):  # type: ignore[attr-defined]
        allowed = seen[(0,) * (seen.ndim - 2)][i, j] and (p.keep is None or p.keep[b, j])  # type: ignore[attr-defined]
        if allowed:
            scores.append(p.scale * (p.q[b, h, i] * p.k[b, g, j]).sum())  # type: ignore[attr-defined]
            values.append(p.v[b, g, j])  # type: ignore[attr-defined]
    for k, v in zip(p.extra[0][b, g], p.extra[1][b, g], strict=True):  # type: ignore[attr-defined]
        scores.append(p.scale * (p.q[b, h, i] * k).sum())  # type: ignore[attr-defined]
        values.append(v)
    scores.append(p.sink[h])  # type: ignore[attr-defined]
    values.append(torch.zeros_like(values[0]))
    total = sum(s.exp() for s in scores)
    return sum(s.exp() / total * v for s, v in zip(scores, values, strict=True)), total.log()  # type: ignore[return-value, union-attr]


@pytest.mark.parametrize("name", ["near", "criss-cross, prefix", "random, prefix", "cross, other axes"])
def test_equals_a_loop_over_keys(name: str) -> None:
    it, _ = a_problem(EVERY[name], **FULL)
    out, lse = reference(it)
    for b, h, i in [(0, 0, 0), (1, 3, 2), (0, 2, 5)]:
        torch.testing.assert_close((out[b, h, i], lse[b, h, i]), slow(it, b, h, i), rtol=1e-12, atol=1e-12)


def test_a_query_without_keys_gives_zeros_and_no_nan() -> None:
    logits = torch.full((2, 3), float("-inf"), dtype=torch.float64)
    logits[1, 0] = 0.0
    logits.requires_grad_()
    out, lse = weigh(logits, torch.ones(3, 2, dtype=torch.float64))
    assert out.tolist() == [[0, 0], [1, 1]]
    assert lse.tolist() == [float("-inf"), 0.0]
    (grad,) = torch.autograd.grad(out.sum() + lse[1], logits)
    assert grad.isfinite().all()


def test_it_is_guarded() -> None:
    x = torch.zeros(1, 1, 8193, 1)
    with pytest.raises(CallError, match=r"the reference would hold 67125249 logits, 1\.0 times its limit"):
        reference(problem(x, x, x, rg.patterns.dense(8193), None, None, None, None, None))
