"""Entmax: a softmax that can give exact zeros, from softmax (alpha = 1) to the projection on the simplex (2)."""

from __future__ import annotations

import torch

from regard.errors import LayoutError
from regard.operators._shared import Logits, Weights, check_count, check_float
from regard.registry import method


@method(
    "operators",
    paper="entmax",
    claim="alpha 1 is softmax, 2 the projection on the simplex; gradients equal finite differences",
    source="the paper's definition and its algorithm of bisection",
    needs={"logits"},
    differs="the gradient comes from one Newton step, which is exact at the root",
    unit="share of attention",
    kinds="self, causal self, cross, causal cross",
)
def entmax(logits: Logits, *, alpha: float = 1.5, steps: int = 60) -> Weights:
    """p = argmax over the simplex of p . s + H_alpha(p): p_j = [(alpha - 1) s_j - tau]_+^(1 / (alpha - 1)).

    tau makes each row sum to 1 and is found by bisection. alpha: 1 (softmax) .. 2 (sparsemax). -inf is kept at 0.

    logits [B, H, Q, K]; gives weights [B, H, Q, K] that sum to 1 over K.

    Raises LayoutError for other alphas. Source: Peters, Niculae and Martins 2019, "Sparse Sequence-to-Sequence Models".

    >>> import regard as rg, torch
    >>> rg.operators.entmax(torch.tensor([[[[2.0, 1.0, -3.0]]]])).flatten()
    tensor([0.8307, 0.1693, 0.0000])
    """
    check_float("logits", logits)
    if not 1 <= alpha <= 2:
        raise LayoutError(f"alpha={alpha}", hint="1 (softmax) .. 2 (projection on the simplex)")
    check_count("steps", steps, 1)
    if alpha == 1:
        return torch.softmax(logits, -1)
    power = 1 / (alpha - 1)
    x = (alpha - 1) * (logits - logits.detach().amax(-1, keepdim=True))
    with torch.no_grad():
        low, high = torch.full_like(x[..., :1], -1.0), torch.full_like(x[..., :1], -(x.shape[-1] ** (1 - alpha)))
        for _ in range(steps):
            tau = (low + high) / 2
            enough = (x - tau).clamp_min(0).pow(power).sum(-1, keepdim=True) >= 1
            low, high = torch.where(enough, tau, low), torch.where(enough, high, tau)
        slope = power * _power((x - low).clamp_min(0), power - 1).sum(-1, keepdim=True)
    left = (x - low).clamp_min(0).pow(power).sum(-1, keepdim=True)
    return (x - (low + (left - 1) / slope)).clamp_min(0).pow(power)


def _power(x: torch.Tensor, exponent: float) -> torch.Tensor:
    """x^exponent, with 0^0 = 0: what is cut off has no slope."""
    return torch.where(x > 0, x.pow(exponent), 0.0)
