"""PCA of patch features: parts as colours."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import DegenerateError
from regard.layout import Grid
from regard.registry import method
from regard.subjects.values import PartsValues


@method(
    "objects",
    paper="dinov2",
    claim="components are orthogonal, ordered by variance, and equal those of a singular value decomposition",
    source="figure 1: PCA of patch features, first three components as colours",
    needs={"k"},
    differs="keys of the last layer instead of its outputs; no foreground step; signs fixed so that runs agree",
    unit="standard deviations",
)
def pca(features: Float[Tensor, "b p c"], grid: Grid, *, components: int = 3) -> PartsValues:
    """Principal components of the patch features of each picture.

    F - mean = U S V^T; component k is U_k * sqrt(P - 1), in standard deviations, with the sign that makes
    its largest |entry| positive. Gives `[B, K, h, w]`; facts: `explained`, the share of variance of
    each component.

    Raises DegenerateError for constant features. Source: Oquab et al. 2023, "DINOv2", figure 1.

    >>> import torch, regard as rg
    >>> parts = rg.objects.pca(torch.randn(1, 6, 5), rg.Grid(2, 3), components=2)
    >>> parts.values.shape
    torch.Size([1, 2, 2, 3])
    """
    centred = (features - features.mean(1, keepdim=True)).double()
    total = centred.square().sum((1, 2))[:, None]
    if not torch.isfinite(total).all() or (total == 0).any():
        raise DegenerateError("the patch features are constant or broken", hint="a picture with something in it")
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    k = min(components, u.shape[2])
    u = u[:, :, :k]
    peak = u.gather(1, u.abs().argmax(1, keepdim=True))
    scaled = u * peak.sign() * (features.shape[1] - 1) ** 0.5
    return PartsValues(
        values=scaled.transpose(1, 2).unflatten(2, (grid.h, grid.w)).to(features.dtype),
        names=tuple(f"component {i + 1}" for i in range(k)),
        grid=Grid(grid.h, grid.w),
        facts={"explained": (s.square() / total)[:, :k].tolist()},
    )
