"""`OrderBank`: scores of a model while cells of a picture are removed in random orders.

The score with the first j cells of an order removed is a point of that order's deletion curve, and, read
backwards, of the insertion curve of the reversed order. So one bank is the null of both metrics, for
any number of maps, at no extra forwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from regard.layout import Grid
from regard.progress import track

Forward = Callable[[Tensor], Tensor]  # pictures [N, 3, H, W] -> the target's probability [N]
Baseline = Literal["blur", "mean"]
BATCH = 8  # on a CPU larger batches are slower a picture: they leave the cache


@dataclass(frozen=True)
class OrderBank:
    """What a removal looks like (x, baseline picture, grid, how many cells each step removes) and the
    scores `[n, S]` of n random orders."""

    x: Float[Tensor, "1 3 H W"]
    replaced: Float[Tensor, "1 3 H W"]
    grid: Grid
    removed: Int[Tensor, " s"]
    scores: Float[Tensor, "n s"]
    baseline: Baseline

    def curve(self, forward: Forward, order: Int[Tensor, " cells"]) -> Float[Tensor, " s"]:
        """Scores while the cells of `order` are removed, the first of them first."""
        return removal_scores(forward, self.x, self.replaced, self.grid, order[None], self.removed)[0]

    @property
    def share_removed(self) -> Float[Tensor, " s"]:
        """x axis of a deletion curve."""
        return self.removed.double() / self.grid.patches


def make_bank(
    forward: Forward, x: Tensor, grid: Grid, *, orders: int, steps: int, baseline: Baseline, generator: torch.Generator
) -> OrderBank:
    """Draw `orders` random orders of the grid's cells and score `steps` + 1 stages of each."""
    removed = torch.linspace(0, grid.patches, min(steps, grid.patches) + 1).round().long()
    replaced = baseline_picture(x, baseline)
    drawn = torch.empty(orders, grid.patches, dtype=torch.long)
    for order in drawn:
        torch.randperm(grid.patches, generator=generator, out=order)
    scores = removal_scores(forward, x, replaced, grid, drawn, removed)
    return OrderBank(x, replaced, grid, removed, scores, baseline)


def baseline_picture(x: Tensor, baseline: Baseline) -> Tensor:
    """What stands in for removed cells: the picture blurred beyond recognition, or its mean colour."""
    if baseline == "mean":
        return x.mean((-2, -1), keepdim=True).expand_as(x)
    sigma = max(x.shape[-2:]) / 20
    offsets = torch.arange(-round(3 * sigma), round(3 * sigma) + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    pad = len(offsets) // 2
    across = F.conv2d(F.pad(x, (pad, pad, 0, 0), mode="replicate"), kernel, groups=x.shape[1])
    return F.conv2d(F.pad(across, (0, 0, pad, pad), mode="replicate"), kernel.mT, groups=x.shape[1])


def removal_scores(
    forward: Forward,
    x: Float[Tensor, "1 3 H W"],
    replaced: Float[Tensor, "1 3 H W"],
    grid: Grid,
    orders: Int[Tensor, "n cells"],
    removed: Int[Tensor, " s"],
) -> Float[Tensor, "n s"]:
    """Score of x with the first removed[s] cells of each order replaced; equal ends are computed once."""
    rank = torch.empty_like(orders).scatter_(1, orders, torch.arange(orders.shape[1]).expand_as(orders))
    inner = removed[1:-1]
    gone = (rank[:, None] < inner[:, None]).flatten(0, 1)
    ends = forward(torch.cat([x, replaced]))
    middle = [
        forward(compose(x, replaced, part, grid))
        for part in track(gone.split(BATCH), "random removals", total=-(-len(gone) // BATCH))
    ]
    scores = torch.cat(middle).view(len(orders), len(inner)) if middle else ends.new_zeros(len(orders), 0)
    first, last = (e.expand(len(orders), 1) for e in ends)
    return torch.cat([first, scores, last], dim=1)


def compose(x: Tensor, replaced: Tensor, gone: Tensor, grid: Grid) -> Float[Tensor, "n 3 H W"]:
    """x where a cell stays, the baseline where it is gone (`[N, cells]` bool), at full resolution.

    Channels come last in memory: convolutions on a CPU take a third less time that way.
    """
    mask = gone.to(x).unflatten(1, (1, grid.h, grid.w))
    full = F.interpolate(mask, size=x.shape[-2:], mode="nearest-exact")
    return torch.where(full.bool(), replaced, x).contiguous(memory_format=torch.channels_last)
