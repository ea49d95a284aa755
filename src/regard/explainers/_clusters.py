"""Clusters of channels, which methods that mask pictures by a model's own features take for masks."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def k_means(
    points: Float[Tensor, "n d"], count: int, generator: torch.Generator, rounds: int = 20
) -> Float[Tensor, "k d"]:
    """Centres of at most `count` clusters (Lloyd), starting at points that are drawn; an empty one keeps its place."""
    drawn = torch.randperm(len(points), generator=generator)[:count]
    centres = points[drawn.to(points.device)].clone()
    nearest = torch.full((len(points),), -1, device=points.device)
    for _ in range(rounds):
        before, nearest = nearest, torch.cdist(points, centres).argmin(1)
        if torch.equal(before, nearest):
            break
        sizes = torch.bincount(nearest, minlength=len(centres))[:, None]
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
    return centres


def by_cosine(points: Float[Tensor, "n d"], distance: float) -> Int[Tensor, " n"]:
    """Which cluster each point is in: complete linkage, cosine distance, cut at `distance`."""
    from scipy.cluster.hierarchy import fcluster, linkage

    unit = torch.nn.functional.normalize(points.double(), dim=1).cpu()
    away = (1 - unit @ unit.T).clamp_min(0)
    pairs = away[tuple(torch.triu_indices(len(points), len(points), 1))]
    if len(points) == 1:
        return torch.zeros(1, dtype=torch.long)
    return torch.from_numpy(fcluster(linkage(pairs.numpy(), "complete"), distance, "distance") - 1).long()
