from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, qkv, refuses

retention = rg.operators.retention


def slow(decay: list[float]):  # type: ignore[no-untyped-def]
    def by_decay_matrix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        at = torch.arange(q.shape[2]).double()
        apart = at[:, None] - at
        kept = torch.stack([torch.where(apart >= 0, g ** apart.clamp(min=0), 0.0) for g in decay])
        return (q @ k.mT / q.shape[-1] ** 0.5 * kept) @ v

    return by_decay_matrix


@pytest.mark.parametrize("form", ["parallel", "recurrent", "chunked"])
@pytest.mark.parametrize("decay", [[1.0, 0.9, 0.5], [0.0, 0.0, 1.0]])
def test_three_forms(form: str, decay: list[float]) -> None:
    agree(lambda *x: retention(*x, decay=decay, form=form, chunk=3), slow(decay), *qkv())


def test_a_decay_of_one_is_linear_and_of_zero_the_diagonal() -> None:
    q, k, v = qkv()
    plain = rg.operators.linear(q, k, v, feature="none", causal=True, normalise=False)
    assert torch.allclose(retention(q, k, v, decay=[1.0] * 3, scale=1.0), plain, atol=1e-12)
    own = (q * k).sum(-1, keepdim=True) * v
    assert torch.allclose(retention(q, k, v, decay=[0.0] * 3, scale=1.0), own, atol=1e-12)
    assert not torch.allclose(retention(q, k, v, scale=1.0), plain, atol=1e-2)


def test_two_scans_less_the_diagonal_are_two_sided_decay() -> None:
    q, k, v = qkv()
    ahead, back = (
        retention(*(x.flip(2) for x in (q, k, v)), decay=[0.7] * 3).flip(2),
        retention(q, k, v, decay=[0.7] * 3),
    )
    at = torch.arange(7).double()
    both = (q @ k.mT / 2 * 0.7 ** (at[:, None] - at).abs()) @ v
    assert torch.allclose(ahead + back - (q * k).sum(-1, keepdim=True) / 2 * v, both, atol=1e-12)


def test_defaults_and_refusals() -> None:
    q, k, v = qkv()
    agree(retention, slow([1 - 2**-5, 1 - 2**-6, 1 - 2**-7]), q, k, v)
    refuses("decays [2.0, 0.5, 0.5]", "between 0", retention, q, k, v, decay=[2.0, 0.5, 0.5])
