"""TDE: how near the other path comes to each short piece of this one."""

from __future__ import annotations

import torch

from regard.errors import DegenerateError, LayoutError
from regard.gaze.comparisons._shared import Lower, Other, Path, check_paths, diagonal
from regard.registry import method


@method(
    "gaze.comparisons",
    paper="time-delay-embedding",
    claim="equals the double loop over pieces; scaled is exp(-mean) of the same over the diagonal",
    source="Wang et al. 2011",
    needs={"path", "other"},
    differs="none",
    unit="pixels",
)
def tde(path: Path, other: Other, *, window: int = 2, size: tuple[int, int] | None = None) -> Lower:
    """Mean over pieces of `window` fixations of `path` of the distance to the nearest piece of `other`, over window.

    The distance of two pieces is Euclidean over all their coordinates. It is not symmetric. size: distances are divided
    by the picture's diagonal; exp(-value) is then the scaled TDE.

    path, other [n, 3] (x, y in pixels, seconds), `window` fixations at least. Raises LayoutError, DegenerateError.

    >>> import torch
    >>> one = torch.tensor([[0.0, 0.0, 0.2], [1.0, 0.0, 0.2], [2.0, 0.0, 0.2]])
    >>> tde(one, one + torch.tensor([0.0, 3.0, 0.0]))
    tensor(2.1213)
    """
    check_paths(path, other)
    if window < 1:
        raise LayoutError(f"window={window}", hint="1 fixation or more")
    if min(len(path), len(other)) < window:
        raise DegenerateError(
            f"a path of {min(len(path), len(other))} fixations, window {window}", hint="a smaller window"
        )
    one, two = (p[:, :2].unfold(0, window, 1).flatten(1) for p in (path, other))
    nearest = torch.cdist(one, two, compute_mode="donot_use_mm_for_euclid_dist").min(1).values
    return (nearest / window).mean() / (1.0 if size is None else diagonal(size))
