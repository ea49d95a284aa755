"""The scan under all causal linear attention: a state that decays and gathers k v^T, read by q, a few tokens at a time.

    S_t = diag(g_t) S_{t-1} + k_t v_t^T        out_t = q_t S_t

With all tokens at a time it is the quadratic form, with one the recurrence; every size gives the same numbers. No
exponent is ever positive, so strong decays and long chunks cannot overflow.
"""

from __future__ import annotations

import torch
from torch import Tensor


def scan(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor | None, step: int) -> Tensor:
    """Causal out `[B, H, N, E]`; log_gate: log g, broadcasts to `[B, H, N, D]` (last axis may be 1), None for g = 1."""
    b, h, n, d = q.shape
    if log_gate is None:
        log_gate = q.new_zeros(1, 1, 1, 1)
    log_gate = log_gate.expand(*log_gate.shape[:2], n, log_gate.shape[3])
    state, pieces = q.new_zeros(b, h, d, v.shape[-1]), []
    for start in range(0, n, step):
        rows = slice(start, start + step)
        qs, ks, vs = q[:, :, rows], k[:, :, rows], v[:, :, rows]
        since = log_gate[:, :, rows].cumsum(-2)
        pieces.append((qs * since.exp()) @ state + _scores(qs, ks, since) @ vs)
        last = since[:, :, -1:]
        state = last.exp().mT * state + (ks * (last - since).exp()).mT @ vs
    return torch.cat(pieces, 2) if pieces else v


def _scores(q: Tensor, k: Tensor, since: Tensor) -> Tensor:
    """sum_d q_id k_jd exp(since_id - since_jd) for j <= i, and 0 for the future."""
    n = q.shape[2]
    future = torch.ones(n, n, dtype=torch.bool, device=q.device).triu(1)
    if since.shape[-1] == 1:
        return (q @ k.mT) * (since - since.mT).masked_fill(future, float("-inf")).exp()
    apart = (since[..., :, None, :] - since[..., None, :, :]).masked_fill(future[..., None], float("-inf"))
    return torch.einsum("bhid,bhjd,bhijd->bhij", q, k, apart.exp().expand(*q.shape[:2], n, n, q.shape[3]))
