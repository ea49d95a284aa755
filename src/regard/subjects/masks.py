"""`MaskBank`: scores of one picture under many masks, shared by every map and every metric at no extra forward."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.layout import Grid
from regard.subjects.bank import check_seed
from regard.subjects.cells import Cells
from regard.subjects.designs import fixed, paired
from regard.subjects.removal import Baseline, Removal
from regard.subjects.scorer import Scorer

STREAM = 0x5C0E  # xored into seeds: an explainer that is given the same seed draws other masks than its judge


@dataclass(frozen=True)
class MaskDraw:
    """How a bank is drawn: `rounds` random partitions into `groups`, each group gone alone, and `each` masks with
    about a quarter, a half and three quarters of the cells gone. What stands in for cells; the seed."""

    rounds: int = 16
    groups: int = 10
    each: int = 32
    baseline: Baseline = "blur"
    seed: Any = 0  # a whole number; see check_seed

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.rounds < 2 or self.groups < 3 or self.each < 4:
            raise LayoutError(
                f"a bank of {self.rounds} rounds of {self.groups} groups and {self.each} masks of each size",
                hint="at least 2, 3 and 4; 16, 10 and 32 are usual",
            )


@dataclass(frozen=True)
class MaskBank:
    """Scores of a picture with only the cells of `keep` `[M, cells]`; of all of it (whole), and of none (empty).

    The first `rounds * groups` masks take one group of a random partition away each; the others are of fixed sizes.
    part: "all", or the half that was cut off to fit methods ("fit") or to judge them ("judge").
    """

    x: Float[Tensor, "1 c H W"]
    cells: Cells
    keep: Bool[Tensor, "m cells"]
    scores: Float[Tensor, " m"]
    whole: float
    empty: float
    draw: MaskDraw
    part: str = "all"

    @property
    def grid(self) -> Grid:
        """How the cells lie on the picture."""
        return self.cells.on

    @property
    def gone(self) -> Float[Tensor, "m cells"]:
        """1 where a cell was taken away."""
        return (~self.keep).double()

    @property
    def drops(self) -> Float[Tensor, " m"]:
        """What the score lost under each mask."""
        return self.whole - self.scores

    @property
    def rounds(self) -> int:
        """How many partitions this (part of a) bank holds."""
        return self.draw.rounds if self.part == "all" else -(-self.draw.rounds // 2) if self.part == "fit" else (
            self.draw.rounds // 2
        )  # fmt: skip

    @property
    def group_drops(self) -> Float[Tensor, "rounds groups"]:
        """Losses of the partitions' groups."""
        return self.drops[: self.rounds * self.draw.groups].view(self.rounds, self.draw.groups)

    def halves(self) -> tuple[MaskBank, MaskBank]:
        """One half to fit methods on and one to judge them: no partition, and no pair of masks, is in both."""
        if self.part != "all":
            raise LayoutError(f"the half '{self.part}' of a bank is not cut again", hint="halves() of the whole bank")
        cut = self.rounds * self.draw.groups
        at = torch.arange(len(self.keep))
        first = torch.where(at < cut, at // self.draw.groups % 2, (at - cut) // 2 % 2) == 0
        fit, judge = (
            replace(self, keep=self.keep[side], scores=self.scores[side], part=name)
            for side, name in ((first, "fit"), (~first, "judge"))
        )
        return fit, judge

    def laid(self, maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n cells"]:
        """Maps of any grid as one number for each cell: means over the area."""
        return F.adaptive_avg_pool2d(maps.double()[:, None], (self.grid.h, self.grid.w)).flatten(1)

    def optimal(self, ridge: float = 0.0) -> Float[Tensor, "h w"]:
        """The map of least infidelity on these masks: (Z^T Z + ridge)^+ Z^T drops, Z = 1 where a cell was gone."""
        z = self.gone
        gram = z.T @ z + ridge * torch.eye(z.shape[1], dtype=z.dtype)
        return (torch.linalg.pinv(gram, hermitian=True) @ z.T @ self.drops).view(self.grid.h, self.grid.w)

    def check(self, x: Tensor, whole: float, target: str) -> None:
        """Refuse another picture, model or target than the bank was drawn for: nothing else would notice."""
        if self.x.shape != x.shape or not torch.equal(self.x, x):
            raise LayoutError("the bank was made for another picture", hint="regard.masks(model, x, like=heatmap)")
        if abs(self.whole - whole) > 1e-2 * abs(whole) + 1e-4:  # kernels differ a little between batch sizes
            raise LayoutError(
                f"the bank was made for another model or target: there the whole picture scores {self.whole:.4g}, "
                f"here ({target}) {whole:.4g}",
                hint="regard.masks(model, x, like=heatmap, target=...) with the model and target of the score",
            )


def removal_of(score: Scorer, cells: Cells, draw: MaskDraw) -> Removal:
    """How a bank of this draw takes cells away: a noise baseline is the same picture every time."""
    return Removal(score, cells, draw.baseline, torch.Generator().manual_seed(draw.seed))


def make_masks(score: Scorer, cells: Cells, draw: MaskDraw) -> MaskBank:
    """Draw the masks and score them: `rounds * groups + 3 * each + 1` forwards beside that of the whole picture."""
    if score.on.x.shape[0] != 1:
        raise LayoutError(f"a batch of {score.on.x.shape[0]} pictures", hint="score one picture at a time: x[i:i+1]")
    if cells.count < draw.groups:
        raise LayoutError(f"{cells.count} cells in {draw.groups} groups", hint=f"groups of at most {cells.count}")
    removal = removal_of(score, cells, draw)
    keep = masks_of(cells.count, draw)
    none = torch.zeros(1, cells.count, dtype=torch.bool)
    masked = torch.cat([keep, none]) if draw.baseline != "drop" else keep
    scores = removal(masked)[:, 0]
    empty = float(scores[-1]) if draw.baseline != "drop" else float("nan")  # no token at all is no picture
    return MaskBank(score.on.x, cells, keep, scores[: len(keep)], float(removal.whole[0]), empty, draw)


def masks_of(cells: int, draw: MaskDraw) -> Bool[Tensor, "m cells"]:
    """The partitions' groups, each gone alone; then a quarter gone, three quarters gone, and halves in pairs."""
    generator = torch.Generator().manual_seed(draw.seed ^ STREAM)
    orders = torch.rand(draw.rounds, cells, generator=generator, dtype=torch.float64).argsort(1)
    groups = [~_chosen(group, cells) for order in orders for group in order.tensor_split(draw.groups)]
    few = [fixed(draw.each, cells, generator, share=share) for share in (0.75, 0.25)]
    halves = paired(fixed(-(-draw.each // 2), cells, generator, share=0.5))[: draw.each]
    return torch.cat([torch.stack(groups), *few, halves])


def _chosen(index: Tensor, cells: int) -> Bool[Tensor, " cells"]:
    chosen = torch.zeros(cells, dtype=torch.bool)
    chosen[index] = True
    return chosen
