"""Search asymmetries: A among B is found sooner than B among A, with people."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from regard.errors import MethodError
from regard.gaze.stimuli._canvas import Item, Shape, Stimulus, array, bar, both, disc, ring
from regard.registry import method

DARK = (0.05, 0.05, 0.05)


def _arc(x: Tensor, y: Tensor) -> Tensor:
    """A piece of a circle that bulges to the right."""
    centre, radius = -0.45, 0.8
    line = (torch.hypot(x - centre, y) - radius).abs() - 0.07
    return torch.maximum(torch.maximum(line, y.abs() - 0.6), centre - x)


def _lit(degrees: float) -> Item:
    """A disc whose brightness falls from a light in that direction, 0 to the right, 90 below."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return Item(disc(0.6), shading=lambda x, y: 0.5 + 0.7 * (x * c + y * s))


def _ink(shape: Shape, turned: float = 0.0) -> Item:
    return Item(shape, DARK, turned)


_LINE = bar(1.2, 0.14)
_T = both(bar(1.0, 0.14), bar(1.0, 0.14, cy=-0.43, turned=90.0))
_L = both(bar(1.0, 0.14), bar(1.0, 0.14, cx=0.43, cy=0.43, turned=90.0))
_PLUS = both(_LINE, bar(1.2, 0.14, turned=90.0))
_CORNERED = both(bar(1.2, 0.14, cx=-0.5), bar(1.2, 0.14, cy=-0.2, cx=0.1, turned=90.0))
_O, _Q = ring(0.55, 0.14), both(ring(0.55, 0.14), bar(0.55, 0.14, cy=0.55))
_MIXED = (-40.0, -20.0, 20.0, 40.0)
PAIRS: dict[str, tuple[list[Item], list[Item]]] = {  # easy target, hard target; each is the other's distractor
    "curve": ([_ink(_arc)], [_ink(_LINE)]),
    "shading": ([_lit(-90.0)], [_lit(0.0)]),
    "cross": ([_ink(_PLUS)], [_ink(_CORNERED)]),
    "letters": ([_ink(_L)], [_ink(_T)]),
    "tilt": ([_ink(_LINE, 20.0)], [_ink(_LINE)]),
    "tilt among mixed": ([_ink(_LINE, 20.0)], [_ink(_LINE)]),
    "Q": ([_ink(_Q)], [_ink(_O)]),
}


@method(
    "gaze.stimuli",
    paper="search-asymmetry",
    claim="one item of the other kind, in its box; swapped both change places",
    source="Treisman and Gormley 1988; Wolfe 2001; Gupta et al. 2021",
    needs={"pair"},
    differs="drawn anew; Q among O is added",
    unit="colour",
)
def asymmetry(
    pair: str = "curve", *, swap: bool = False, size: int = 25, cells: int = 5, side: int = 48, jitter: float = 0.1,
    seed: int = 0,
) -> Stimulus:  # fmt: skip
    """One of the classical pairs, the target that people find sooner among the other kind; `swap` exchanges the two.

    curve among lines · shading: lit from above among discs lit from the right · cross among
    lines that touch but do not cross · L among T · tilt: 20 degrees among upright lines · tilt among mixed: the
    tilted, or (swap) the upright line among lines of -40, -20, 20 and 40 degrees but for the target's own · Q among O.

    Which of a pair people find sooner is recalled for shading and letters, and stated by the sources for the others.
    Raises MethodError for another pair.

    Sources: Treisman and Gormley 1988; Wolfe 2001; Gupta et al. 2021 (these pairs but for Q).

    >>> asymmetry("Q", swap=True, size=9).told
    'O among Q, 9 items'
    """
    if pair not in PAIRS:
        raise MethodError.unknown("pair", pair, PAIRS, see=f"one of {', '.join(PAIRS)}")
    easy, hard = PAIRS[pair]
    target, others = (hard, easy) if swap else (easy, hard)
    if pair == "tilt among mixed":
        others = [_ink(_LINE, t) for t in _MIXED if swap or t != 20.0] + ([] if swap else [_ink(_LINE)])
    made = array(target[0], others, cells=cells, size=size, side=side, jitter=jitter, seed=seed)
    told = {"Q": "O among Q" if swap else "Q among O"}.get(pair, f"{pair}{', swapped' if swap else ''}")
    return replace(made, told=f"{told}, {size} items")
