"""Sequence score: strings of clusters, found in both paths together, aligned."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.gaze.comparisons._shared import Higher, Other, Path, aligned, check_paths
from regard.registry import method


@method(
    "gaze.comparisons",
    paper="sequence-score",
    claim="clusters recover planted ones; equal paths score 1, paths in other clusters 0",
    source="Borji, Tavakoli, Sihite and Itti 2013; Yang et al. 2020",
    needs={"path", "other"},
    differs="clusters come from the two paths, where the authors take all observers': give the clusters by `centres`",
    unit="similarity",
)
def sequence_score(
    path: Path, other: Other, *, bandwidth: float = 60.0, centres: Float[Tensor, "k 2"] | None = None
) -> Higher:
    """Matches in the best global alignment (match 1, mismatch 0, gap 0) of the strings of clusters, over the longer.

    Clusters: mean shift with a flat disc of `bandwidth` pixels over the fixations of both, or the nearest of `centres`
    [k, 2] that were found over all observers (`mean_shift`).

    path, other [n, 3] (x, y in pixels, seconds). Raises LayoutError, DegenerateError.

    >>> import torch
    >>> one = torch.tensor([[10.0, 10.0, 0.2], [200.0, 10.0, 0.2]])
    >>> sequence_score(one, one.flip(0))
    tensor(0.5000)
    """
    check_paths(path, other)
    found = mean_shift(torch.cat([path, other])[:, :2], bandwidth) if centres is None else centres
    one, two = (torch.cdist(p[:, :2], found.to(p)).argmin(1) for p in (path, other))
    return path.new_tensor(aligned((one[:, None] == two).to(path), 0.0) / max(len(one), len(two)))


def mean_shift(points: Float[Tensor, "n 2"], bandwidth: float, *, rounds: int = 100) -> Float[Tensor, "k 2"]:
    """Where points end that go to the mean of all within `bandwidth`; ends within that of a fuller one are merged."""
    if not bandwidth > 0:
        raise LayoutError(f"bandwidth={bandwidth}", hint="pixels, above 0")
    ends = points.clone()
    for _ in range(rounds):
        near = (torch.cdist(ends, points) <= bandwidth).to(points)
        moved = near @ points / near.sum(1, keepdim=True)
        if torch.equal(moved, ends):
            break
        ends = moved
    fullness = (torch.cdist(ends, points) <= bandwidth).sum(1)
    kept: list[int] = []
    for i in fullness.argsort(descending=True, stable=True).tolist():
        if all(float((ends[i] - ends[j]).norm()) > bandwidth for j in kept):
            kept.append(i)
    return ends[kept]
