"""A motion singleton: in every frame all items look alike, only one moves otherwise."""

from __future__ import annotations

from dataclasses import replace

import torch

from regard.errors import LayoutError
from regard.gaze.stimuli._canvas import BACKGROUND, Item, Stimulus, disc, draw
from regard.registry import method

Clip = list[Stimulus]


@method(
    "gaze.stimuli",
    paper="feature-integration",
    claim="every frame alone looks alike; one item moves otherwise",
    source="motion as one of the features of Treisman and Gelade 1980",
    needs=(),
    differs="discs that turn back at their cell's edge",
    unit="colour",
)
def moving(
    *, frames: int = 8, cells: int = 5, side: int = 32, speed: float = 2.0, among: float = 0.0, seed: int = 0
) -> Clip:
    """Discs in cells, one of which moves `speed` pixels a frame and the others `among`, all in directions of their own.

    An item that would leave its cell turns back. The masks are those of each frame.

    >>> clip = moving(frames=3)
    >>> [bool((clip[0].target == one.target).all()) for one in clip]
    [True, False, False]
    """
    if frames < 2 or cells < 1 or min(speed, among) < 0 or max(speed, among) > side / 4:
        raise LayoutError(
            f"{frames} frames, speeds {speed} and {among} in cells of {side}", hint="2 frames or more, a quarter cell"
        )
    g = torch.Generator().manual_seed(seed)
    home = int(torch.randint(cells**2, (1,), generator=g))
    angles = torch.rand(cells**2, generator=g) * 2 * torch.pi
    start = (torch.rand(cells**2, 2, generator=g) - 0.5) * side / 4
    made = []
    for t in range(frames):
        picture = torch.full((3, cells * side, cells * side), BACKGROUND)
        masks = torch.zeros(2, cells * side, cells * side, dtype=torch.bool)
        for cell in range(cells**2):
            step = (speed if cell == home else among) * t
            swing = (start[cell] + step * torch.stack([angles[cell].cos(), angles[cell].sin()]) + side / 4) % side
            place = (swing - side / 2).abs() - side / 4  # to and fro within half a cell
            rows, columns = (slice(n * side, (n + 1) * side) for n in divmod(cell, cells))
            at = (float(place[0]) * 2 / side, float(place[1]) * 2 / side)
            masks[int(cell != home), rows, columns] = draw(picture[:, rows, columns], Item(disc(0.35)), at)
        made.append(Stimulus(picture, masks[0], masks[1]))
    top, left = (n * side for n in divmod(home, cells))
    return [replace(one, box=(left, top, left + side, top + side), told="motion singleton") for one in made]
