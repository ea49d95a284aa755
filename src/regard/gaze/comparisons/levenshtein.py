"""Levenshtein: how many cells of one string of cells must be changed to make the other."""

from __future__ import annotations

from regard.gaze.comparisons._shared import Lower, Other, Path, Size, check_paths, edits, symbols
from regard.registry import method


@method(
    "gaze.comparisons",
    paper="string-edit",
    claim="equals a recursion over all edits on short paths",
    source="Brandt and Stark 1997",
    needs={"path", "other", "size"},
    differs="none",
    unit="share of the longer path",
)
def levenshtein(path: Path, other: Other, size: Size, *, cells: tuple[int, int] = (12, 8)) -> Lower:
    """Fewest insertions, deletions and substitutions between the strings of cells, over the longer: 0..1, 0 for equal.

    path, other [n, 3] (x, y in pixels, seconds); size (height, width); cells (columns, rows).

    >>> import torch
    >>> one = torch.tensor([[1.0, 1.0, 0.2], [75.0, 10.0, 0.2]])
    >>> levenshtein(one, one[:1], (60, 80))
    tensor(0.5000)
    """
    check_paths(path, other)
    one, two = ([tuple(cell) for cell in symbols(p, size, cells).tolist()] for p in (path, other))
    return path.new_tensor(edits(one, two) / max(len(one), len(two)))
