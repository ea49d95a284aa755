"""Cross-recurrence: how often, how orderly and how soon one path comes where the other was."""

from __future__ import annotations

import torch

from regard.errors import LayoutError
from regard.gaze.comparisons._shared import Other, Path, Several, apart, check_paths
from regard.registry import method

NAMES = ("recurrence", "determinism", "laminarity", "corm")


@method(
    "gaze.comparisons",
    paper="recurrence",
    claim="equals counts of runs along diagonals, rows and columns by hand",
    source="Anderson et al. 2013 and 2015",
    needs={"path", "other"},
    differs="the longer path is cut to the shorter one's length, as the authors do",
    unit="per cent",
)
def recurrence(path: Path, other: Other, *, radius: float = 64.0, least: int = 2) -> Several:
    """Four numbers of the matrix r_ij = [fixation i of one lies within `radius` pixels of fixation j of the other].

    With R the sum of the n x n matrix: recurrence 100 R / n^2 · determinism: per cent of R on diagonals of at least
    `least` · laminarity: on rows and columns of at least `least`, halved · corm: 100 sum (j - i) r_ij / ((n - 1) R),
    how far `other` lags behind. The last three are 0 where nothing recurs.

    path, other [n, 3] (x, y in pixels, seconds), two fixations at least. Raises LayoutError, DegenerateError.

    >>> import torch
    >>> one = torch.tensor([[0.0, 0.0, 0.2], [500.0, 0.0, 0.2], [900.0, 0.0, 0.2]])
    >>> {name: round(v, 1) for name, v in recurrence(one, one).to_dict().items()}
    {'recurrence': 33.3, 'determinism': 100.0, 'laminarity': 0.0, 'corm': 0.0}
    """
    check_paths(path, other, least=2)
    if not radius > 0 or least < 2:
        raise LayoutError(f"radius={radius}, least={least}", hint="a radius in pixels above 0, least=2 or more")
    n = min(len(path), len(other))
    r = apart(path[:n], other[:n]) <= radius
    total = int(r.sum())
    diagonals = sum(_in_runs(r.diagonal(k).tolist(), least) for k in range(1 - n, n))
    rows, columns = (sum(_in_runs(line, least) for line in t.tolist()) for t in (r, r.T))
    lag = torch.arange(n)[None] - torch.arange(n)[:, None]
    values = (
        total / n**2,
        diagonals / max(total, 1),
        (rows + columns) / max(2 * total, 1),
        float((lag * r).sum()) / max((n - 1) * total, 1),
    )
    return Several(path.new_tensor([100 * v for v in values]), NAMES)


def _in_runs(line: list[bool], least: int) -> int:
    """How many are in runs of at least `least`."""
    found = run = 0
    for one in [*line, False]:
        if one:
            run += 1
        else:
            found += run if run >= least else 0
            run = 0
    return found
