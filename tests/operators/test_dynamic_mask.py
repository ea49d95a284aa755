from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, drawn, qkv, refuses

dynamic_mask = rg.operators.dynamic_mask


def loop(keep: int, causal: bool):  # type: ignore[no-untyped-def]
    def by_query(q: Tensor, k: Tensor, v: Tensor, importance: Tensor) -> Tensor:
        rows = []
        for i in range(q.shape[2]):
            seen = i + 1 if causal else k.shape[2]
            best = importance[:, :, :seen].argsort(-1, descending=True)[..., :keep]
            ks, vs, bias = (
                x.gather(2, best[..., None].expand(-1, -1, -1, x.shape[-1])) for x in (k, v, importance[..., None])
            )
            rows.append((torch.softmax((ks * q[:, :, i, None]).sum(-1) / 2 + bias[..., 0], -1)[..., None] * vs).sum(2))
        return torch.stack(rows, 2)

    return by_query


@pytest.mark.parametrize("form", ["skipped", "masked"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("keep", [1, 3, 99])
def test_equals_a_loop_over_queries(keep: int, causal: bool, form: str) -> None:
    inputs = [*qkv(q=7 if causal else 5, k=7), drawn((2, 3, 7), seed=1)[0]]
    agree(lambda *x: dynamic_mask(*x, keep=keep, causal=causal, form=form), loop(keep, causal), *inputs)


def test_the_planted_fault_a_future_key_is_never_chosen() -> None:
    q, k, v = qkv()
    late = torch.zeros(2, 3, 7).double()
    late[:, :, 6] = 50.0
    out = dynamic_mask(q, k, v, late, keep=2, causal=True)
    v[:, :, 6] += 1
    assert torch.equal(dynamic_mask(q, k, v, late, keep=2, causal=True)[:, :, :6], out[:, :, :6])
    assert not torch.equal(dynamic_mask(q, k, v, late, keep=2)[:, :, :6], out[:, :, :6])


def test_refusals() -> None:
    q, k, v = qkv()
    refuses("keep=0", "1 .. any", dynamic_mask, q, k, v, k[..., 0], keep=0)
    refuses("importance [2, 3, 6]", "[2, 3, 7]", dynamic_mask, q, k, v, k[:, :, :6, 0])
    refuses("form='flash'", "skipped or masked", dynamic_mask, q, k, v, k[..., 0], form="flash")
