"""Retention: causal linear attention that forgets at one rate a head; parallel, recurrent and in chunks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.operators._scan import scan
from regard.operators._shared import Form, Keys, Output, Queries, Values, check, log_decay, scale_of, step_of
from regard.registry import method


@method(
    "operators",
    paper="vir",
    claim="parallel, recurrent and chunkwise forms agree; a decay of 1 is linear attention, of 0 its diagonal",
    source="parallel, recurrent and chunkwise forms of RetNet, as ViR uses them",
    needs={"q", "k", "v"},
    differs="the rotation of q and k, the gate and the group norm are left to a layer",
    unit="values",
    kinds="causal self",
)
def retention(
    q: Queries, k: Keys, v: Values, *, decay: Sequence[float] | Tensor | None = None, scale: float | None = None,
    form: Form = "chunked", chunk: int = 64,
) -> Output:  # fmt: skip
    """(q k^T . D) v with D_ij = gamma^(i - j) for j <= i, and 0 for the future.

    Recurrent: S_n = gamma S_{n-1} + k_n^T v_n, out_n = q_n S_n, with a state whose size the length does not change.
    decay: gamma of each head, by default 1 - 2^(-5 - h). scale: of q . k, 1 / sqrt(D) unless given.

    q, k [B, H, N, D], v [B, H, N, E]; gives [B, H, N, E].

    Raises LayoutError where shapes do not fit, or a decay lies outside [0, 1]. Source: Hatamizadeh et al. 2023, "ViR:
    Vision Retention Networks"; Sun et al. 2023, "Retentive Network".

    >>> import regard as rg, torch
    >>> one = torch.ones(1, 1, 3, 1)
    >>> rg.operators.retention(one, one, one, decay=(0.5,), form="recurrent").flatten()
    tensor([1.0000, 1.5000, 1.7500])
    """
    check(q, k, v, same_count=True)
    if decay is None:
        decay = 1 - 2.0 ** (-5 - torch.arange(q.shape[1]).double())
    return scan(q * scale_of(q, scale), k, v, log_decay(decay, q), step_of(form, chunk, q.shape[2]))
