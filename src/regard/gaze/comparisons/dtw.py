"""DTW: the shortest way to walk both paths at once, summed."""

from __future__ import annotations

from regard.gaze.comparisons._shared import Lower, Other, Path, apart, check_paths, walked
from regard.registry import method


@method(
    "gaze.comparisons",
    paper="dtw",
    claim="equals the cheapest of all warpings on short paths",
    source="Berndt and Clifford 1994",
    needs={"path", "other"},
    differs="none",
    unit="pixels",
)
def dtw(path: Path, other: Other, *, per_fixation: bool = False) -> Lower:
    """Least sum of distances along a warping that pairs every fixation, in order; per_fixation: over the longer path.

    path, other [n, 3] (x, y in pixels, seconds). Raises LayoutError, DegenerateError.

    >>> import torch
    >>> dtw(torch.tensor([[0.0, 0.0, 0.2]]), torch.tensor([[3.0, 4.0, 0.2], [0.0, 1.0, 0.2]]))
    tensor(6.)
    """
    check_paths(path, other)
    total = walked(apart(path, other), lambda before, here: before + here)
    return path.new_tensor(total / max(len(path), len(other)) if per_fixation else total)
