"""Relational attention: what is carried is how two tokens compare, and not what they hold."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, check_float, scale_of
from regard.registry import method


@method(
    "operators",
    paper="dual-attention-transformer",
    claim="equals a loop over pairs of tokens that computes each relation",
    source="the paper's relational attention with symbols",
    needs={"q", "k", "v", "rq", "rk", "mix"},
    differs="none",
    unit="values",
    kinds="self, cross, causal cross",
)
def relational(
    q: Queries, k: Keys, v: Values, rq: Tensor, rk: Tensor, mix: Tensor, *, scale: float | None = None
) -> Output:
    """out_i = sum_j a_ij (r_ij W + s_j), with a = softmax(scale q k^T) and relations r_ij = (rq_il . rk_jl)_l.

    v: the symbols s, which tell j apart but not what it holds. W: mix. No N x N x L tensor is made:
    sum_j a_ij r_ijl = rq_il . sum_j a_ij rk_jl. scale: of q . k, 1 / sqrt(D) unless given.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E], rq [B, L, Q, R], rk [B, L, K, R], mix [H, L, E]; gives [B, H, Q, E].

    Raises LayoutError where shapes do not fit. Source: Altabaa and Lafferty 2024, "Disentangling and Integrating
    Relational and Sensory Information in Transformer Architectures".

    >>> import regard as rg, torch
    >>> zero, symbols = torch.zeros(1, 1, 2, 1), torch.zeros(1, 1, 2, 1)
    >>> what = torch.tensor([1.0, -1.0]).view(1, 1, 2, 1)  # one like itself, one unlike: the mean relation is 0
    >>> rg.operators.relational(zero, zero, symbols, what, what, torch.ones(1, 1, 1)).flatten()
    tensor([0., 0.])
    """
    check(q, k, v)
    check_float("rq", rq, "B, L, Q, R")
    check_float("rk", rk, "B, L, K, R")
    if (rq.shape[2], rk.shape[2]) != (q.shape[2], k.shape[2]) or mix.shape != (q.shape[1], rq.shape[1], v.shape[3]):
        raise LayoutError(
            f"rq {list(rq.shape)}, rk {list(rk.shape)}, mix {list(mix.shape)} for q {list(q.shape)}, v {list(v.shape)}",
            hint="rq [B, L, Q, R], rk [B, L, K, R], mix [H, L, E]",
        )
    weights = torch.softmax(scale_of(q, scale) * q @ k.mT, -1)
    seen = torch.einsum("bhqk,blkr->bhlqr", weights, rk)
    return torch.einsum("blqr,bhlqr,hle->bhqe", rq, seen, mix.to(v)) + weights @ v
