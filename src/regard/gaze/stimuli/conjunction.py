"""Conjunctions: the target shares each of its features with half of the others, only both together are its own."""

from __future__ import annotations

from dataclasses import replace

from regard.gaze.stimuli._canvas import RED, Item, Stimulus, array, bar
from regard.registry import method


@method(
    "gaze.stimuli",
    paper="feature-integration",
    claim="the target shares each feature with half of the others",
    source="Treisman and Gelade 1980",
    needs=(),
    differs="red and green bars",
    unit="colour",
)
def conjunction(*, size: int = 49, cells: int = 7, side: int = 40, jitter: float = 0.075, seed: int = 0) -> Stimulus:
    """A red upright bar among red level ones and green upright ones, as many of either.

    Source: Treisman and Gelade 1980.

    >>> made = conjunction(size=9, cells=3)
    >>> bool(made.target.any()), bool((made.target & made.distractors).any())
    (True, False)
    """
    upright = Item(bar(0.8, 0.3))
    target, level = upright._replace(colour=RED), upright._replace(colour=RED, turned=90.0)
    made = array(target, [level, upright], cells=cells, size=size, side=side, jitter=jitter, seed=seed)
    return replace(made, told=f"conjunction of {size}")
