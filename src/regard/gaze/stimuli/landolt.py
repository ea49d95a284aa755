"""Landolt rings: broken circles, one of which opens elsewhere."""

from __future__ import annotations

from dataclasses import replace

from regard.gaze.stimuli._canvas import Item, Stimulus, array, ring, wedge, without
from regard.registry import method


@method(
    "gaze.stimuli",
    paper="landolt",
    claim="the opening lies where it was asked for",
    source="the ring's geometry",
    needs=(),
    differs="thinner lines than the standard ring of five parts",
    unit="colour",
)
def landolt(
    *, opening: float = 90.0, others: float = 0.0, gap: float = 40.0, size: int = 16, cells: int = 4, side: int = 48,
    seed: int = 0,
) -> Stimulus:  # fmt: skip
    """A ring that opens towards `opening` among rings that open towards `others`.

    Degrees, 0 to the right, clockwise; gap: of the opening, in degrees; size: items in `cells` x `cells` places.

    >>> made = landolt(size=8)
    >>> made.told
    'ring open at 90 among 0, 8 items'
    """
    rings = [
        Item(without(ring(0.55, 0.18), wedge(gap / 2)), (0.05, 0.05, 0.05), turned) for turned in (opening, others)
    ]
    made = array(rings[0], rings[1:], cells=cells, size=size, side=side, jitter=0.1, seed=seed)
    return replace(made, told=f"ring open at {opening:g} among {others:g}, {size} items")
