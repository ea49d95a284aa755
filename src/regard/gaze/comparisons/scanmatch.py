"""ScanMatch: strings of cells, aligned with credit for cells that are near."""

from __future__ import annotations

import torch

from regard.errors import LayoutError
from regard.gaze.comparisons._shared import Higher, Other, Path, Size, aligned, check_paths, symbols
from regard.registry import method


@method(
    "gaze.comparisons",
    paper="scanmatch",
    claim="equals the best of all alignments on short paths; 1 for equal paths",
    source="Cristino et al. 2010",
    needs={"path", "other", "size"},
    differs="none",
    unit="similarity",
)
def scanmatch(
    path: Path,
    other: Other,
    size: Size,
    *,
    cells: tuple[int, int] = (12, 8),
    threshold: float = 3.5,
    gap: float = 0.0,
    bin_seconds: float | None = None,
) -> Higher:
    """Score of the best global alignment over the best that the longer string could have: about 0..1.

    Each fixation is the cell of a grid (columns, rows) that it falls in; substituting cells d apart earns
    threshold - d; a gap costs -gap. bin_seconds: a cell is repeated once for each such span of its fixation (0.05).

    path, other [n, 3] (x, y in pixels, seconds); size (height, width). Raises LayoutError, DegenerateError.

    >>> import torch
    >>> one = torch.tensor([[1.0, 1.0, 0.2], [75.0, 10.0, 0.2]])
    >>> scanmatch(one, one, (60, 80))
    tensor(1.)
    """
    check_paths(path, other)
    if not threshold > 0 or gap > 0 or min(cells) < 1:
        raise LayoutError(
            f"threshold={threshold}, gap={gap}, cells={cells}", hint="a threshold above 0, a gap of at most 0"
        )
    one, two = (_timed(symbols(p, size, cells), p[:, 2], bin_seconds) for p in (path, other))
    gain = threshold - torch.cdist(one.to(path), two.to(path), compute_mode="donot_use_mm_for_euclid_dist")
    return path.new_tensor(aligned(gain, gap) / (threshold * max(len(one), len(two))))


def _timed(cells: torch.Tensor, seconds: torch.Tensor, span: float | None) -> torch.Tensor:
    if span is None:
        return cells
    if not seconds.isfinite().all() or not span > 0:
        raise LayoutError(f"bin_seconds={span} needs known durations", hint="durations in seconds, or bin_seconds=None")
    return cells.repeat_interleave((seconds / span).round().long().clamp_min(1), dim=0)
