"""Losses of a predicted density against people's: logits [B, h, w], truth and counts [B, h, w]; one number each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def kl(logits: Float[Tensor, "b h w"], truth: Float[Tensor, "b h w"], counts: Float[Tensor, "b h w"]) -> Tensor:
    """KL(truth || density) in nats, mean over pictures; truth is divided by its sum."""
    told = logits.flatten(1).log_softmax(-1)
    people = truth.flatten(1) / truth.flatten(1).sum(1, keepdim=True)
    return (torch.xlogy(people, people) - people * told).sum(1).mean()


def mixed(logits: Float[Tensor, "b h w"], truth: Float[Tensor, "b h w"], counts: Float[Tensor, "b h w"]) -> Tensor:
    """SUM's 10 KL - 2 CC - SIM - NSS + 5 MSE, means over pictures; MSE of both maps divided by their maxima."""
    density = logits.flatten(1).softmax(-1)
    people = truth.flatten(1) / truth.flatten(1).sum(1, keepdim=True)
    seen = counts.flatten(1)
    one, other = (v - v.mean(1, keepdim=True) for v in (density, people))
    cc = (one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1)).clamp_min(1e-12)
    sim = torch.minimum(density, people).sum(1)
    unit = one / one.std(1, keepdim=True, unbiased=False).clamp_min(1e-12)
    nss = (unit * seen).sum(1) / seen.sum(1).clamp_min(1)
    high = [v / v.amax(1, keepdim=True) for v in (density, people)]
    mse = (high[0] - high[1]).square().mean(1)
    return 10 * kl(logits, truth, counts) + (-2 * cc - sim - nss + 5 * mse).mean()


LOSSES: dict[str, Loss] = {"kl": kl, "mixed": mixed}
