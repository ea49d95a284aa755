"""Discrete Frechet distance: the longest leash that walking both paths at once needs."""

from __future__ import annotations

from regard.gaze.comparisons._shared import Lower, Other, Path, apart, check_paths, walked
from regard.registry import method


@method(
    "gaze.comparisons",
    paper="frechet",
    claim="equals the least longest distance over all warpings on short paths",
    source="Eiter and Mannila 1994",
    needs={"path", "other"},
    differs="none",
    unit="pixels",
)
def frechet(path: Path, other: Other) -> Lower:
    """Least, over warpings that pair every fixation in order, of the largest distance of a pair.

    path, other [n, 3] (x, y in pixels, seconds). Raises LayoutError, DegenerateError.

    >>> import torch
    >>> frechet(torch.tensor([[0.0, 0.0, 0.2]]), torch.tensor([[3.0, 4.0, 0.2], [0.0, 1.0, 0.2]]))
    tensor(5.)
    """
    check_paths(path, other)
    return path.new_tensor(walked(apart(path, other), max))
