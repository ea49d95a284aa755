"""`Evidence`: what a metric may ask for about one map, each made when it is first asked for, and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from regard.errors import LayoutError, MethodError
from regard.layout import Grid
from regard.results import Map
from regard.subjects.bank import Draw, OrderBank, make_bank
from regard.subjects.cells import Cells
from regard.subjects.degenerate import check_finite, check_ranks
from regard.subjects.forward import Forward, Subject
from regard.subjects.masks import MaskBank, MaskDraw, make_masks, removal_of
from regard.subjects.removal import Removal
from regard.subjects.scorer import Scorer
from regard.subjects.target import Goal

MOST_CELLS = 14  # along the shorter side: a bank's cells for maps of pixels


class Again:
    """`again(model=..., x=..., target=..., seed=...)`: the method that made a map, once more; counts forwards."""

    def __init__(self, explain: Callable[..., Map], on: Subject, target: Goal) -> None:
        self._explain, self.on, self.target = explain, on, target
        self.count = 0

    def __call__(
        self, *, model: nn.Module | None = None, x: Tensor | None = None, target: Goal = None, seed: int = 0
    ) -> Float[Tensor, "h w"]:
        """The first map that the method gives for another model, picture or target."""
        on = replace(self.on, model=model or self.on.model, x=self.on.x if x is None else x)
        made = self._explain(on, target=self.target if target is None else target, seed=seed)
        self.count += made.forwards
        return torch.from_numpy(made.values[0])


@dataclass
class Evidence:
    """A map, the model and picture that it is about, and what is drawn to judge it."""

    on: Subject
    heatmap: Map
    goal: Goal = None
    draw: Draw = field(default_factory=Draw)
    given_bank: OrderBank | None = None
    given_masks: MaskBank | None = None
    given_region: Tensor | None = None
    explain: Callable[..., Map] | None = None

    def __post_init__(self) -> None:
        one = "score one picture at a time: x[i:i+1]"
        if self.on.x.shape[0] != 1:
            raise LayoutError(f"a batch of {self.on.x.shape[0]} pictures", hint=one)
        if self.heatmap.values.shape[0] != 1:
            raise LayoutError(f"a Map of {self.heatmap.values.shape[0]} pictures, and one is scored", hint=one)
        check_finite(self.heatmap.values)

    @property
    def values(self) -> Float[Tensor, "h w"]:
        """The map."""
        return torch.from_numpy(self.heatmap.values[0])

    @property
    def target(self) -> Goal:
        """What is scored: the target asked for, else the class that the map explains."""
        if self.goal is None and self.heatmap.target_index:
            return self.heatmap.target_index[0]
        if self.goal is None and self.heatmap.target:
            raise MethodError(
                f"the map explains '{self.heatmap.target}', and scores are of one class",
                hint="target=INDEX or NAME of the class",
            )
        return self.goal

    @cached_property
    def maps(self) -> Float[Tensor, "n h w"]:
        """The map, then as many random ones: its own values in random places."""
        return shuffled(self.values, self.draw.orders, self.draw.seed)

    @cached_property
    def forward(self) -> Forward:
        """Pictures to the target's probability."""
        return Forward(self.on, self.target)

    @cached_property
    def scorer(self) -> Scorer:
        """Pictures to the target's score."""
        return Scorer(self.on, self.target)

    @cached_property
    def bank(self) -> OrderBank:
        """Random orders on the map's grid."""
        if self.given_bank is None:
            return make_bank(self.forward, self.on.x, self.heatmap.grid, self.draw, span=self.on.span)
        grid, own = self.given_bank.grid, self.heatmap.grid
        if (own.h, own.w) != (grid.h, grid.w):
            raise LayoutError(f"a Map on grid {own} scored on grid {grid}", hint="a bank made on the map's own grid")
        self.given_bank.check(self.on.x, self.forward.whole, self.forward.target.label)
        return self.given_bank

    @cached_property
    def masks(self) -> MaskBank:
        """Many masks on the map's grid, or a coarser one."""
        if self.given_masks is None:
            draw = MaskDraw(baseline=self.draw.baseline, seed=self.draw.seed)  # type: ignore[arg-type]
            return make_masks(self.scorer, cells_like(self.on.x, self.heatmap.grid), draw)
        self.given_masks.check(self.on.x, float(self.scorer.value[0]), self.scorer.target.label)
        return self.given_masks

    @cached_property
    def removal(self) -> Removal:
        """Scores under masks of the same cells and baseline as the bank's."""
        return removal_of(self.scorer, self.masks.cells, self.masks.draw)

    @cached_property
    def region(self) -> Bool[Tensor, "H W"]:
        """Where on the picture the thing is."""
        size = tuple(self.on.x.shape[-2:])
        if self.given_region is None:
            raise LayoutError("this metric asks for the region of the thing", hint=f"region=a mask {list(size)}, bool")
        region = torch.as_tensor(self.given_region)
        if tuple(region.shape) != size or not 0 < int(region.bool().sum()) < region.numel():
            raise LayoutError(
                f"a region {list(region.shape)} with {int(region.bool().sum())} pixels in it",
                hint=f"a mask {list(size)} of the picture with some pixels in it and some outside",
            )
        return region.bool().cpu()

    @cached_property
    def again(self) -> Again:
        """The method that made the map, to be run once more."""
        if self.explain is None:
            raise MethodError(
                f"'{self.heatmap.method}' is not a method that can be run again",
                hint="a map of regard.explain; its method is found by name and settings",
            )
        return Again(self.explain, self.on, self.target)

    @property
    def generator(self) -> torch.Generator:
        """Of what a metric draws."""
        return torch.Generator().manual_seed(self.draw.seed)

    @property
    def x(self) -> Float[Tensor, "1 c H W"]:
        """The picture."""
        return self.on.x

    @property
    def forwards(self) -> int:
        """Pictures that went through the model on behalf of this map."""
        made = self.__dict__  # a cached property that nobody asked for is not there
        return sum(made[name].count for name in ("forward", "scorer", "again") if name in made)

    def of(self, name: str) -> Any:
        """A subject by the name that metrics ask for it with."""
        if name == "heatmap":  # the one map, of whoever puts its cells in order; a null of `maps` shares its ties
            check_ranks(self.values)
            return self.values
        return getattr(self, name)

    @property
    def label(self) -> str:
        """What was scored, in words."""
        made = self.__dict__
        if "forward" in made:
            return self.forward.target.label
        return self.scorer.target.label if "scorer" in made else str(self.heatmap.target or "")


def shuffled(values: Float[Tensor, "h w"], n: int, seed: int) -> Float[Tensor, "n1 h w"]:
    """A map and n random ones that hold its values in random places."""
    generator = torch.Generator().manual_seed(seed)
    flat = values.flatten()
    places = torch.rand(n, len(flat), generator=generator, dtype=torch.float64).argsort(1)
    return torch.cat([flat[None], flat[places]]).view(-1, *values.shape)


def cells_like(x: Tensor, grid: Grid) -> Cells:
    """A map's own cells, or a coarser grid where there are more than 14 along the shorter side."""
    scale = min(1.0, MOST_CELLS / min(grid.h, grid.w))
    laid = Grid(max(1, round(grid.h * scale)), max(1, round(grid.w * scale)))
    height, width = x.shape[-2:]
    rows, columns = torch.arange(height) * laid.h // height, torch.arange(width) * laid.w // width
    labels = (rows[:, None] * laid.w + columns).to(x.device)
    return Cells(labels.expand(len(x), -1, -1), laid.patches, laid)
