"""Eyenalysis: every fixation to the nearest of the other path, both ways."""

from __future__ import annotations

from regard.gaze.comparisons._shared import Lower, Other, Path, apart, check_paths
from regard.registry import method


@method(
    "gaze.comparisons",
    paper="eyenalysis",
    claim="equals the double nearest-neighbour mean; the order of fixations does not matter",
    source="Mathôt et al. 2012",
    needs={"path", "other"},
    differs="positions only: the paper leaves the choice of dimensions open",
    unit="pixels",
)
def eyenalysis(path: Path, other: Other) -> Lower:
    """(sum_i min_j d_ij + sum_j min_i d_ij) / longer of the two.

    path, other [n, 3] (x, y in pixels, seconds). Raises LayoutError, DegenerateError.

    >>> import torch
    >>> eyenalysis(torch.tensor([[0.0, 0.0, 0.2]]), torch.tensor([[3.0, 4.0, 0.2], [0.0, 1.0, 0.2]]))
    tensor(3.5000)
    """
    check_paths(path, other)
    d = apart(path, other)
    return (d.min(1).values.sum() + d.min(0).values.sum()) / max(len(path), len(other))
