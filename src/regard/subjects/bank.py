"""`OrderBank`: scores of a model while cells of a picture are removed in random orders.

The score with the first j cells of an order removed is a point of that order's deletion curve, and, read
backwards, of the insertion curve of the reversed order. So one bank is the null of both metrics, for
any number of maps, at no extra forwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError, MethodError
from regard.layout import Grid
from regard.progress import track
from regard.subjects.baseline import BASELINES, UNKNOWN, Span, baseline_picture

Score = Callable[[Tensor], Tensor]  # pictures [N, 3, H, W] -> the target's probability [N]
BATCH = 8  # on a CPU larger batches are slower a picture: they leave the cache


def check_seed(seed: object) -> None:
    """Refuse what is no seed to NumPy and PyTorch alike."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < 2**63:
        raise MethodError(f"a seed is no {seed!r}", hint="a whole number, 0 or more: seed=0")


@dataclass(frozen=True)
class Draw:
    """How a bank is drawn: how many random orders, in how many steps each, what stands in for removed cells."""

    orders: int = 99
    steps: int = 16
    baseline: str = "blur"
    seed: Any = 0  # a whole number; see check_seed

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.steps < 2 or self.orders < 0:  # one step has only the ends, which all maps share
            raise LayoutError(
                f"a curve of {self.steps} steps held against {self.orders} random maps", hint="steps=16, orders=99"
            )
        if self.baseline not in BASELINES:
            raise MethodError.unknown("baseline", self.baseline, BASELINES, see=f"one of {', '.join(BASELINES)}")


@dataclass(frozen=True)
class OrderBank:
    """What a removal looks like (x, baseline picture, grid, how many cells each step removes) and the
    scores `[n, S]` of n random orders; whole: the score of x itself."""

    x: Float[Tensor, "1 c H W"]
    replaced: Float[Tensor, "1 c H W"]
    grid: Grid
    removed: Int[Tensor, " s"]
    scores: Float[Tensor, "n s"]
    whole: float
    draw: Draw

    def check(self, x: Tensor, whole: float, target: str) -> None:
        """Refuse another picture, model or target than the bank was drawn for: nothing else would notice."""
        if self.x.shape != x.shape or not torch.equal(self.x, x):
            raise LayoutError("the bank was made for another picture", hint="regard.bank(model, x, like=heatmap)")
        if abs(self.whole - whole) > 1e-2 * abs(whole) + 1e-6:  # kernels differ a little between batch sizes
            raise LayoutError(
                f"the bank was made for another model or target: there the whole picture scores {self.whole:.4g}, "
                f"here ({target}) {whole:.4g}",
                hint="regard.bank(model, x, like=heatmap, target=...) with the model and target of the score",
            )

    def curve(self, forward: Score, order: Int[Tensor, " cells"]) -> Float[Tensor, " s"]:
        """Scores while the cells of `order` are removed, the first of them first."""
        return removal_scores(forward, self.x, self.replaced, self.grid, order[None], self.removed)[0]

    @property
    def share_removed(self) -> Float[Tensor, " s"]:
        """x axis of a deletion curve."""
        return self.removed.double() / self.grid.patches


def make_bank(forward: Score, x: Tensor, grid: Grid, draw: Draw, *, span: Span = UNKNOWN) -> OrderBank:
    """Draw random orders of the grid's cells and score `steps` + 1 stages of each; span: black and white, as the model
    takes them."""
    if x.shape[0] != 1:
        raise LayoutError(f"a batch of {x.shape[0]} pictures", hint="score one picture at a time: x[i:i+1]")
    removed = torch.linspace(0, grid.patches, min(draw.steps, grid.patches) + 1).round().long()
    generator = torch.Generator().manual_seed(draw.seed)
    drawn = torch.empty(draw.orders, grid.patches, dtype=torch.long)
    for order in drawn:
        torch.randperm(grid.patches, generator=generator, out=order)
    replaced = baseline_picture(x, draw.baseline, span=span, generator=generator)
    scores = removal_scores(forward, x, replaced, grid, drawn, removed)
    whole = float(scores[0, 0]) if len(scores) else float(forward(x)[0])
    return OrderBank(x, replaced, grid, removed, scores, whole, draw)


def removal_scores(
    forward: Score,
    x: Float[Tensor, "1 c H W"],
    replaced: Float[Tensor, "1 c H W"],
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


def compose(x: Tensor, replaced: Tensor, gone: Tensor, grid: Grid) -> Float[Tensor, "n c H W"]:
    """x where a cell stays, the baseline where it is gone (`[N, cells]` bool), at full resolution.

    Channels come last in memory: convolutions on a CPU take a third less time that way.
    """
    mask = gone.to(x).unflatten(1, (1, grid.h, grid.w))
    full = F.interpolate(mask, size=x.shape[-2:], mode="nearest-exact")
    return torch.where(full.bool(), replaced, x).contiguous(memory_format=torch.channels_last)
