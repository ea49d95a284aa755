"""MultiMatch: saccades aligned by shape, then compared in five ways."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from regard.gaze.comparisons._shared import Other, Path, Several, Size, check_paths, diagonal
from regard.registry import method

NAMES = ("shape", "direction", "length", "position", "duration")


@method(
    "gaze.comparisons",
    paper="multimatch",
    claim="equals the package multimatch-gaze to 1e-9 on people's scanpaths",
    source="Dewhurst et al. 2012; the package's steps",
    needs={"path", "other", "size"},
    differs="no simplification of the paths: give simplified ones",
    unit="similarity",
)
def multimatch(path: Path, other: Other, size: Size) -> Several:
    """Five similarities of two scanpaths, each 1 - the median difference along the best alignment of their saccades.

    Saccade vectors u, v are aligned by the cheapest way through |u_i - v_j|, from the first pair to the last, right,
    down or both; the first pair costs nothing. shape: |u - v| / 2 D; direction: angle / pi; length and position:
    difference / D; duration: difference / the longer; D the diagonal of the picture.

    path, other [n, 3] (x, y in pixels, seconds), three fixations at least; size (height, width). On OSIE only direction
    and position tell people on one picture from people on two. Raises LayoutError, DegenerateError.

    >>> import torch
    >>> one = torch.tensor([[1.0, 1.0, 0.2], [5.0, 1.0, 0.2], [5.0, 7.0, 0.3]])
    >>> multimatch(one, one, (10, 10)).values
    tensor([1., 1., 1., 1., 1.])
    """
    check_paths(path, other, least=3)
    whole = diagonal(size)
    u, v = (p[1:, :2] - p[:-1, :2] for p in (path, other))
    gap = (u[:, None] - v).norm(dim=-1)
    pairs = cheapest(gap)
    i, j = pairs[:, 0], pairs[:, 1]
    angle = [torch.atan2(t[:, 1], t[:, 0]) for t in (u, v)]
    turn = (angle[0][i] - angle[1][j]).abs()
    times = path[i, 2], other[j, 2]
    differences = (
        gap[i, j] / (2 * whole),
        torch.minimum(turn, 2 * math.pi - turn) / math.pi,
        (u.norm(dim=1)[i] - v.norm(dim=1)[j]).abs() / whole,
        (path[i, :2] - other[j, :2]).norm(dim=1) / whole,
        (times[0] - times[1]).abs() / torch.maximum(*times).clamp_min(1e-12),
    )
    return Several(torch.stack([1 - _median(d) for d in differences]), NAMES)


def cheapest(cost: Float[Tensor, "n m"]) -> Tensor:
    """Pairs (i, j) of the cheapest way from the first cell to the last; the first cell is free."""
    table = cost.tolist()
    n, m = len(table), len(table[0])
    best = [[0.0] * m for _ in range(n)]
    came: dict[tuple[int, int], tuple[int, int]] = {}
    for i in range(n):
        for j in range(m):
            if i or j:
                before = [(a, b) for a, b in ((i, j - 1), (i - 1, j), (i - 1, j - 1)) if a >= 0 and b >= 0]
                came[i, j] = min(before, key=lambda cell: best[cell[0]][cell[1]])
                best[i][j] = table[i][j] + best[came[i, j][0]][came[i, j][1]]
    way = [(n - 1, m - 1)]
    while way[-1] in came:
        way.append(came[way[-1]])
    return torch.tensor(way[::-1])


def _median(values: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Of an even number the mean of the two in the middle, as NumPy has it."""
    return values.quantile(0.5)
