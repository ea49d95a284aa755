"""Singletons: one item that differs from all others in a single feature."""

from __future__ import annotations

from dataclasses import replace

from regard.errors import MethodError
from regard.gaze.stimuli._canvas import RED, Item, Stimulus, array, bar, ring, wedge, without
from regard.registry import method

DISTRACTOR = Item(bar(0.8, 0.3))
PAIRS: dict[str, tuple[Item, Item]] = {
    "colour": (DISTRACTOR._replace(colour=RED), DISTRACTOR),
    "orientation": (DISTRACTOR._replace(turned=90.0), DISTRACTOR),
    "size": (Item(bar(1.3, 0.5)), DISTRACTOR),
    "luminance": (DISTRACTOR._replace(colour=(0.95, 0.95, 0.95)), DISTRACTOR._replace(colour=(0.35, 0.35, 0.35))),
    "closure": (Item(ring(0.5, 0.14)), Item(without(ring(0.5, 0.14), wedge(35.0)))),
}


@method(
    "gaze.stimuli",
    paper="feature-integration",
    claim="one item differs in one feature, within its box",
    source="Treisman and Gelade 1980",
    needs={"feature"},
    differs="bars on grey",
    unit="colour",
)
def singleton(
    feature: str = "colour", *, size: int = 49, cells: int = 7, side: int = 40, jitter: float = 0.075, seed: int = 0
) -> Stimulus:
    """Bars on grey, one odd in colour, orientation (90 degrees), size or luminance; or a closed ring among open ones.

    size: how many items; cells: to a side, `side` pixels each; jitter: of each place, as a share of a cell.
    Raises MethodError for another feature, LayoutError for items that find no room.

    >>> made = singleton("orientation", seed=3)
    >>> made.picture.shape, made.box
    (torch.Size([3, 280, 280]), (80, 120, 120, 160))
    """
    if feature not in PAIRS:
        raise MethodError.unknown("singleton", feature, PAIRS, see=f"one of {', '.join(PAIRS)}")
    target, other = PAIRS[feature]
    made = array(target, [other], cells=cells, size=size, side=side, jitter=jitter, seed=seed)
    return replace(made, told=f"{feature} singleton of {size}")
