"""The delta rule: a causal memory that replaces what it had stored under a key."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import Form, Keys, Output, Queries, Values, check, check_float, step_of
from regard.registry import method


@method(
    "operators",
    paper="deltanet",
    claim="recurrent = chunked at every size; orthonormal keys with beta 1 are linear attention; beta 0 stores nothing",
    source="the delta rule as a recurrence; chunks by the WY representation",
    needs={"q", "k", "v", "beta"},
    differs="the triangular system is solved instead of inverted; keys are taken as they come",
    unit="values",
    kinds="causal self",
)
def delta_rule(q: Queries, k: Keys, v: Values, beta: Tensor, *, form: Form = "chunked", chunk: int = 32) -> Output:
    """S_t = S_{t-1} + beta_t k_t (v_t - S_{t-1}^T k_t)^T, out_t = S_t^T q_t: linear attention that corrects itself.

    A chunk at a time: (I + tril(diag(beta) K K^T, -1)) U = diag(beta) (V - K S), then out = Q S + tril(Q K^T) U and
    S <- S + K^T U. Keys should have length 1 (normalise them) and beta lie in [0, 1], else the memory may grow.

    q, k [B, H, N, D], v [B, H, N, E], beta [B, H, N]; gives [B, H, N, E].

    Raises LayoutError where shapes do not fit. Source: Yang et al. 2024, "Parallelizing Linear Transformers with the
    Delta Rule over Sequence Length".

    >>> import regard as rg, torch
    >>> key, v = torch.ones(1, 1, 2, 1), torch.tensor([3.0, 5.0]).view(1, 1, 2, 1)
    >>> rg.operators.delta_rule(key, key, v, torch.ones(1, 1, 2)).flatten()  # the second write replaces the first
    tensor([3., 5.])
    """
    check(q, k, v, same_count=True)
    check_float("beta", beta, "B, H, N")
    if beta.shape != k.shape[:3]:
        raise LayoutError(f"beta {list(beta.shape)} for k {list(k.shape)}", hint=f"{list(k.shape[:3])}")
    step, state, pieces = step_of(form, chunk, q.shape[2]), q.new_zeros(*q.shape[:2], q.shape[3], v.shape[3]), []
    for start in range(0, q.shape[2], step):
        rows = slice(start, start + step)
        qs, ks, vs, strength = q[:, :, rows], k[:, :, rows], v[:, :, rows], beta[:, :, rows, None]
        system = (strength * ks @ ks.mT).tril(-1)  # its diagonal counts as ones below
        new = torch.linalg.solve_triangular(system, strength * (vs - ks @ state), upper=False, unitriangular=True)
        pieces.append(qs @ state + (qs @ ks.mT).tril() @ new)
        state = state + ks.mT @ new
    return torch.cat(pieces, 2) if pieces else v
