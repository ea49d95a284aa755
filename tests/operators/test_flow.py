from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, qkv, refuses

flow = rg.operators.flow


def quadratic(q: Tensor, k: Tensor, v: Tensor, causal: bool = False) -> Tensor:
    """Every sum written with the matrix of products; epsilons left out."""
    pairs = torch.sigmoid(q) @ torch.sigmoid(k).mT
    seen = torch.ones_like(pairs).tril() if causal else torch.ones_like(pairs)
    place = torch.arange(1, q.shape[2] + 1).double()[:, None]
    back = torch.ones_like(pairs.mT).tril() if causal else torch.ones_like(pairs.mT)  # source j hears sinks i <= j
    incoming, outgoing = (pairs * seen).sum(-1, keepdim=True), (pairs.mT * back).sum(-1, keepdim=True)
    kept_in = (pairs * seen / outgoing.mT).sum(-1, keepdim=True)
    kept_out = (pairs.mT * back / incoming.mT).sum(-1, keepdim=True)
    if causal:
        strength = (kept_out / place).clamp(-1, 1).exp()
        competition = strength / strength.cumsum(2) * place
        return torch.sigmoid(kept_in / place) * ((pairs * seen / incoming) @ (v * competition))
    competition = torch.softmax(kept_out.clamp(-1, 1), 2) * k.shape[2]
    return torch.sigmoid(kept_in * q.shape[2] / k.shape[2]) * ((pairs / incoming) @ (v * competition))


def test_equals_the_quadratic_form() -> None:
    agree(lambda *x: flow(*x, eps=0.0), quadratic, *qkv(q=5, k=8))


@pytest.mark.parametrize("form", ["parallel", "recurrent", "chunked"])
def test_causal_in_three_forms(form: str) -> None:
    agree(lambda *x: flow(*x, causal=True, form=form, chunk=3, eps=0.0), lambda *x: quadratic(*x, causal=True), *qkv())


def test_refusals() -> None:
    refuses("3 queries and 5 keys", "self-attention", flow, *qkv(q=3, k=5), causal=True)
