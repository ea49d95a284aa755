"""Softmax plus one: attention that may look at nothing."""

from __future__ import annotations

import torch

from regard.operators._shared import Logits, Weights, check_float
from regard.registry import method


@method(
    "operators",
    paper="off-by-one",
    claim="equals softmax over one more logit of 0, whose weight is dropped; sigmoid(logsumexp) times softmax",
    source="the text's softmax_1",
    needs={"logits"},
    differs="none",
    unit="share of attention",
    kinds="self, causal self, cross, causal cross",
)
def softmax_plus_one(logits: Logits) -> Weights:
    """p_j = exp(s_j) / (1 + sum_l exp(s_l)): a sink of logit 0 with no value.

    logits [B, H, Q, K]; gives weights [B, H, Q, K] that sum to less than 1 over K.

    Raises LayoutError unless logits are floats [B, H, Q, K]. Source: Miller 2023, "Attention Is Off By One".

    >>> import regard as rg, torch
    >>> rg.operators.softmax_plus_one(torch.zeros(1, 1, 1, 3)).flatten()
    tensor([0.2500, 0.2500, 0.2500])
    """
    check_float("logits", logits)
    return torch.softmax(logits, -1) * torch.sigmoid(torch.logsumexp(logits, -1, keepdim=True))
