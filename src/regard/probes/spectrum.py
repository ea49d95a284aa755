"""Spectrum: the singular values of attention matrices."""

from __future__ import annotations

import torch

from regard.core.call import Call, Summed
from regard.errors import CallError
from regard.probes._shared import check_indices
from regard.registry import method


@method(
    "probes",
    paper="linformer",
    claim="equals a singular value decomposition of the explicit matrix to 1e-7 of the largest value",
    source="section 3: spectrum of the attention matrix, by head and layer",
    needs={"call"},
    differs="the values themselves instead of their normalised cumulative sum; by way of p^T p",
    unit="singular value",
)
def spectrum(call: Call, *, heads: tuple[int, ...] | None = None, top: int | None = None) -> Summed:
    """Singular values of the attention matrix of chosen heads, the largest first.

    sigma = sqrt(eig(G)) with G = p^T p, summed over blocks of rows in float64. heads: which (None: all);
    top: how many values (None: all min(Q, K)). Uniform attention over Q = K tokens has sigma = 1, 0, 0, ...

    Our p: the attention weights [B, H, Q, K]. Gives [B, len(heads), min(top, Q, K)] in float64. Holds K^2
    numbers for each chosen head while it runs, so choose heads where K is large. Squaring costs half of the
    digits: values below sqrt(K eps) of the largest (2e-7 for 257 keys) cannot be told from 0 and are given as 0.

    Raises CallError if a head does not exist or top is below 1. Source: Wang et al. 2020, "Linformer:
    Self-Attention with Linear Complexity", section 3.

    >>> import regard as rg, torch
    >>> from regard.core.call import Call
    >>> p = torch.full((1, 1, 4, 4), 0.25)
    >>> rg.probes.spectrum(Call("attn", 0, "hand", None, None, v=p, weights=p)).round(decimals=6)
    tensor([[[1., 0., 0., 0.]]], dtype=torch.float64)
    """
    chosen = tuple(range(call.heads)) if heads is None else heads
    check_indices("head", chosen, call.heads)
    if top is not None and top < 1:
        raise CallError(f"the {top} largest singular values", hint="a top of 1 or more, or None for all")
    gram = call.values.new_zeros(call.batch, len(chosen), call.keys, call.keys, dtype=torch.float64)
    for rows in call.blocks():
        probs = rows.probs[:, chosen].double()
        gram += probs.mT @ probs
    values = torch.linalg.eigvalsh(gram).flip(-1)[..., : call.queries]
    floor = call.keys * torch.finfo(values.dtype).eps * values[..., :1]
    return values.where(values > floor, 0.0).sqrt()[..., :top]
