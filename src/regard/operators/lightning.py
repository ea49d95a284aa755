"""Lightning attention: causal linear attention with decay, in tiles."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.operators._scan import scan
from regard.operators._shared import Form, Keys, Output, Queries, Values, check, log_decay, step_of
from regard.registry import method


@method(
    "operators",
    paper="lightning-attention-2",
    claim="blocks of any size equal the recurrence and the quadratic form, in outputs and gradients",
    source="algorithm 1: products inside tiles, a state between them; decays as in TransNormerLLM",
    needs={"q", "k", "v"},
    differs="backward by autograd through the same tiles, in plain torch; one decay a head, by default exp(-2^(-8h/H))",
    unit="values",
    kinds="causal self",
)
def lightning(
    q: Queries, k: Keys, v: Values, *, decay: Sequence[float] | Tensor | None = None, form: Form = "chunked",
    chunk: int = 64,
) -> Output:  # fmt: skip
    """Causal linear attention with decay, at a cost linear in the tokens.

    out_i = sum_{j <= i} lambda_h^(i - j) (q_i . k_j) v_j. Inside a tile by a masked product, between tiles by a
    state of D x E numbers. decay: lambda of each head, in [0, 1].

    q, k [B, H, N, D], v [B, H, N, E]; gives [B, H, N, E]. Nothing is scaled or normalised: the layer's norms do it.

    Raises LayoutError where shapes do not fit, or a decay lies outside [0, 1]. Source: Qin et al. 2024, "Lightning
    Attention-2".

    >>> import regard as rg, torch
    >>> one = torch.ones(1, 1, 4, 1)
    >>> rg.operators.lightning(one, one, one, decay=(0.5,)).flatten()
    tensor([1.0000, 1.5000, 1.7500, 1.8750])
    """
    check(q, k, v, same_count=True)
    heads = q.shape[1]
    if decay is None:
        decay = torch.exp(-(2.0 ** (-8 * torch.arange(1, heads + 1).double() / heads)))
    return scan(q, k, v, log_decay(decay, q), step_of(form, chunk, q.shape[2]))
