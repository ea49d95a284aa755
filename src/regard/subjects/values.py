"""What methods return before a verb wraps it into a result: plain tensors and the facts only they know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from regard.layout import Grid


@dataclass(frozen=True)
class MapValues:
    """Signed values on a grid; site: where they were read."""

    values: Float[Tensor, "b h w"]
    grid: Grid
    site: str | None = None
    gap: float | None = None
    se: Float[Tensor, "b h w"] | None = None


@dataclass(frozen=True)
class ScoreValues:
    """A metric's value, the values of random maps, and the curves behind both (x in row 0, y in row 1), if there are.

    se: the Monte-Carlo error of the value, where it is an average over draws.
    """

    value: float
    null: Float[Tensor, " n"]
    convention: str
    higher_is_better: bool
    curve: Float[Tensor, "2 s"] | None = None
    null_curves: Float[Tensor, "n s"] | None = None
    se: float | None = None


def of_maps(
    values: Float[Tensor, " n1"], convention: str, *, higher_is_better: bool, se: float | None = None
) -> ScoreValues:
    """What was found for a map, and after it for the random ones."""
    return ScoreValues(float(values[0]), values[1:], convention, higher_is_better, se=se)


@dataclass(frozen=True)
class PartsValues:
    """Components of a picture `[B, K, h, w]`, their names, and a mask `[B, h, w]` where one is cut out."""

    values: Float[Tensor, "b k h w"]
    names: tuple[str, ...]
    grid: Grid
    mask: Bool[Tensor, "b h w"] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
