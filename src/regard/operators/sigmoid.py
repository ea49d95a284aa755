"""Sigmoid attention: each pair decides for itself."""

from __future__ import annotations

import math

import torch

from regard.operators._shared import Logits, Weights, check_float
from regard.registry import method


@method(
    "operators",
    paper="sigmoid-attention",
    claim="a pair's weight is its own logit's alone; with the default bias rows sum to about 1 at zero logits",
    source="sigmoid attention with the bias -log n that the paper recommends",
    needs={"logits"},
    differs="none",
    unit="weight",
    kinds="self, causal self, cross, causal cross",
)
def sigmoid(logits: Logits, *, bias: float | None = None) -> Weights:
    """p_ij = sigmoid(s_ij + bias), without competition between keys.

    bias: -log K unless given, so that a row of zeros sums to K / (K + 1).

    logits [B, H, Q, K]; gives weights [B, H, Q, K], whose rows need not sum to 1.

    Raises LayoutError unless logits are floats [B, H, Q, K]. Source: Ramapuram et al. 2024, "Theory, Analysis, and
    Best Practices for Sigmoid Self-Attention".

    >>> import regard as rg, torch
    >>> rg.operators.sigmoid(torch.zeros(1, 1, 1, 3)).flatten()
    tensor([0.2500, 0.2500, 0.2500])
    """
    check_float("logits", logits)
    return torch.sigmoid(logits + (-math.log(logits.shape[-1]) if bias is None else bias))
