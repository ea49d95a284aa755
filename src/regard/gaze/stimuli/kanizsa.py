"""Kanizsa's figures: discs with a corner cut out, between which people see a shape that is not drawn."""

from __future__ import annotations

import math

import torch

from regard.errors import LayoutError
from regard.gaze.stimuli._canvas import BACKGROUND, Item, Stimulus, disc, draw, wedge, without
from regard.registry import method


@method(
    "gaze.stimuli",
    paper="kanizsa",
    claim="broken figures have the same discs, turned",
    source="the figure's geometry",
    needs=(),
    differs="none",
    unit="colour",
)
def kanizsa(
    *,
    corners: int = 4,
    broken: bool = False,
    side: int = 240,
    radius: float = 0.22,
    support: float = 0.55,
    seed: int = 0,
) -> Stimulus:
    """Discs at the corners of a regular figure, each cut by the figure's own angle; target is the illusory figure.

    broken: the cuts are turned outwards, so that no figure is seen, while every disc stays the same but for its turn.
    radius of the discs and distance `support` of their middles from that of the picture are shares of half its side.
    The whole is turned by an angle drawn with `seed`; distractors are the discs.

    >>> made = kanizsa(corners=3)
    >>> bool((made.picture[:, 120, 120] == 0.5).all()), bool(made.target[120, 120])
    (True, True)
    """
    if corners < 3 or radius <= 0 or radius + support > 1:
        raise LayoutError(
            f"{corners} corners, radius {radius}, support {support}", hint="3 or more, within the picture"
        )
    start = float(torch.rand(1, generator=torch.Generator().manual_seed(seed))) * 360 / corners
    picture = torch.full((3, side, side), BACKGROUND)
    discs = torch.zeros(side, side, dtype=torch.bool)
    angle = 180.0 - 360.0 / corners  # inside a corner of the figure
    for k in range(corners):
        towards = start + 360.0 * k / corners
        at = (support * math.cos(math.radians(towards)), support * math.sin(math.radians(towards)))
        cut = without(disc(radius), wedge(angle / 2, turned=0.0))
        discs |= draw(picture, Item(cut, (0.05, 0.05, 0.05), towards + (0.0 if broken else 180.0)), at)
    steps = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    normals = torch.arange(corners) * (2 * math.pi / corners) + math.radians(start) + math.pi / corners
    reach = support * math.cos(math.pi / corners)
    inside = (x[..., None] * normals.cos() + y[..., None] * normals.sin()).amax(-1) <= reach
    told = f"{'broken ' if broken else ''}figure of {corners} corners"
    return Stimulus(picture, inside & ~discs & (not broken), discs, None, told)
