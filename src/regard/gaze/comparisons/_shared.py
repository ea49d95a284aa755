"""What comparisons of scanpaths share: their types and the distances between all pairs of fixations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import DegenerateError, LayoutError

Path = Float[Tensor, "n 3"]  # x and y in pixels, duration in seconds
Other = Float[Tensor, "m 3"]
Size = tuple[int, int]  # of the picture: height and width in pixels
Higher = Float[Tensor, ""]  # higher is more alike
Lower = Float[Tensor, ""]  # a distance


@dataclass(frozen=True)
class Several:
    """Numbers that belong together, under their names."""

    values: Float[Tensor, " k"]
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, float]:
        """Name -> number."""
        return dict(zip(self.names, self.values.tolist(), strict=True))


def check_paths(path: Tensor, other: Tensor, *, least: int = 1) -> None:
    """Raise for what is no pair of scanpaths [n, 3] (x, y, seconds)."""
    for one in (path, other):
        if one.ndim != 2 or one.shape[1] != 3:
            raise LayoutError(
                f"a scanpath is [n, 3] (x, y, seconds), got {list(one.shape)}", hint="rg.gaze.compare takes Scanpaths"
            )
        if len(one) < least:
            raise DegenerateError(f"a scanpath of {len(one)} fixations", hint=f"at least {least}")
        if not one[:, :2].isfinite().all():
            raise DegenerateError("a scanpath with NaN positions", hint="fixations.inside() drops them")


def diagonal(size: tuple[int, int]) -> float:
    """Of a picture (height, width), in pixels."""
    if len(size) != 2 or min(size) < 1:
        raise LayoutError(f"size={size}", hint="(height, width) of the picture in pixels")
    return float(torch.tensor(size, dtype=torch.float64).norm())


def apart(path: Tensor, other: Tensor) -> Float[Tensor, "n m"]:
    """Euclidean distance (pixels) of every fixation of one from every fixation of the other."""
    return torch.cdist(path[:, :2], other[:, :2], compute_mode="donot_use_mm_for_euclid_dist")


def symbols(path: Tensor, size: tuple[int, int], cells: tuple[int, int]) -> Tensor:
    """The cell (column, row) that each fixation falls in, [n, 2]; what lies outside goes to the nearest."""
    columns, rows = cells
    scale = path.new_tensor([columns / size[1], rows / size[0]])
    last = torch.tensor([columns - 1, rows - 1])
    return torch.minimum((path[:, :2] * scale).floor().long().clamp_min(0), last)


def aligned(gain: Float[Tensor, "n m"], gap: float) -> float:
    """Needleman and Wunsch: the best sum of gains along a global alignment, each gap costing `gap` (<= 0 costs)."""
    table = gain.tolist()
    above = [gap * j for j in range(len(table[0]) + 1)]
    for i, row in enumerate(table, 1):
        now = [gap * i]
        for j, one in enumerate(row, 1):
            now.append(max(above[j - 1] + one, above[j] + gap, now[-1] + gap))
        above = now
    return above[-1]


def edits(one: list[tuple[int, ...]], other: list[tuple[int, ...]]) -> int:
    """Levenshtein's distance: the fewest insertions, deletions and substitutions."""
    above = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        now = [i]
        for j, b in enumerate(other, 1):
            now.append(min(above[j] + 1, now[-1] + 1, above[j - 1] + (a != b)))
        above = now
    return above[-1]


def walked(cost: Float[Tensor, "n m"], join: Callable[[float, float], float]) -> float:
    """Least cost of walking both paths to their ends, in steps of one on either or both; `join` adds the next pair."""
    table = cost.tolist()
    above: list[float] = []
    for i, row in enumerate(table):
        now: list[float] = []
        for j, here in enumerate(row):
            ways = ([above[j]] if i else []) + ([now[-1]] if j else []) + ([above[j - 1]] if i and j else [])
            now.append(join(min(ways), here) if ways else here)
        above = now
    return above[-1]
