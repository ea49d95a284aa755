"""Sinkhorn attention: rows and columns normalised in turn, towards a doubly stochastic matrix."""

from __future__ import annotations

import torch

from regard.operators._shared import Logits, Weights, check_count, check_float
from regard.registry import method


@method(
    "operators",
    paper="sinkformer",
    claim="one step is softmax; many make rows and columns of a square matrix sum to 1",
    source="Sinkhorn's algorithm on exp of the logits, in the logarithm",
    needs={"logits"},
    differs="none",
    unit="share of attention",
    kinds="self, cross",
)
def sinkhorn(logits: Logits, *, steps: int = 5) -> Weights:
    """exp(s) with its rows, then its columns, then its rows ... divided by their sums, `steps` divisions in all.

    Columns are brought to Q / K, which is 1 for a square matrix. An odd number of steps leaves rows that sum to 1.

    logits [B, H, Q, K]; gives weights [B, H, Q, K].

    Raises LayoutError unless logits are floats [B, H, Q, K] and steps >= 1. Source: Sander et al. 2022, "Sinkformers:
    Transformers with Doubly Stochastic Attention".

    >>> import regard as rg, torch
    >>> p = rg.operators.sinkhorn(torch.tensor([[[[1.0, 0.0], [5.0, 0.0]]]]), steps=51)
    >>> p.sum(-1).flatten().round(decimals=4), p.sum(-2).flatten().round(decimals=4)
    (tensor([1., 1.]), tensor([1., 1.]))
    """
    check_float("logits", logits)
    check_count("steps", steps, 1)
    q, k = logits.shape[-2:]
    log = logits
    for step in range(steps):
        by_rows = step % 2 == 0
        log = torch.log_softmax(log, -1) if by_rows else torch.log_softmax(log, -2) + torch.tensor(q / k).log().to(log)
    return log.exp()
