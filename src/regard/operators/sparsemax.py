"""Sparsemax: the Euclidean projection of the logits on the simplex."""

from __future__ import annotations

import torch

from regard.operators._shared import Logits, Weights, check_float
from regard.registry import method


@method(
    "operators",
    paper="sparsemax",
    claim="no point of the simplex is nearer to the logits; equals entmax with alpha 2",
    source="algorithm 1",
    needs={"logits"},
    differs="none",
    unit="share of attention",
    kinds="self, causal self, cross, causal cross",
)
def sparsemax(logits: Logits) -> Weights:
    """p = argmin over the simplex of |p - s|^2 = [s - tau]_+, exactly, by sorting.

    tau = (sum of the m largest - 1) / m, with m the most for which the m-th still exceeds it. Adding a number to a
    row changes nothing.

    logits [B, H, Q, K]; gives weights [B, H, Q, K] that sum to 1 over K, most of them 0 where logits lie apart.

    Raises LayoutError unless logits are floats [B, H, Q, K]. Source: Martins and Astudillo 2016, "From Softmax to
    Sparsemax".

    >>> import regard as rg, torch
    >>> rg.operators.sparsemax(torch.tensor([[[[0.6, 0.4, -1.0]]]])).flatten()
    tensor([0.6000, 0.4000, 0.0000])
    """
    check_float("logits", logits)
    x = logits - logits.detach().amax(-1, keepdim=True)
    ordered = x.sort(-1, descending=True).values
    rank = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
    total = ordered.cumsum(-1) - 1
    support = (rank * ordered > total).sum(-1, keepdim=True)
    tau = total.gather(-1, support - 1) / support
    return (x - tau).clamp_min(0)
