"""InLine attention: linear attention whose weights tell queries apart that plain linear attention confuses."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.layout import Grid
from regard.operators._features import Feature, feature_map
from regard.operators._shared import Keys, Output, Queries, Values, check, check_grid, scale_of
from regard.registry import method


@method(
    "operators",
    paper="inline-attention",
    claim="equals the quadratic form; weights sum to 1; q and 2q get different weights where linear attention's agree",
    source="the paper's normalisation by subtraction, as released (scale / N); the released 3 x 3 residual",
    needs={"q", "k", "v"},
    differs="the factor scale / K of the scores is explicit, as in the released code; the residual's weights are given",
    unit="values",
    kinds="self, cross, causal cross",
)
def inline(
    q: Queries, k: Keys, v: Values, *, feature: Feature = "none", scale: float | None = None,
    residual: Tensor | None = None, grid: Grid | None = None,
) -> Output:  # fmt: skip
    """Linear attention normalised by subtraction: weights sum to 1 and are injective in the query.

    out_i = sum_j w_ij v_j,   w_ij = s_ij - mean_j s_ij + 1 / K,   s_ij = scale / K phi(q_i) . phi(k_j).
    scale: 1 / sqrt(D) unless given. residual [B, H, 9]: weights that add to each token its 3 x 3 neighbours' values
    on the grid (zeros outside); the paper predicts them from the mean token.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E]. Weights may be negative. Cost N D E.

    Raises LayoutError where shapes do not fit, or a residual has no grid. Source: Han et al. 2024, "Bridging the
    Divide: Reconsidering Softmax and Linear Attention".

    >>> import regard as rg, torch
    >>> q, k, v = torch.eye(2).expand(3, 1, 1, 2, 2)
    >>> rg.operators.inline(q, k, v, scale=1.0)[0, 0]
    tensor([[0.7500, 0.2500],
            [0.2500, 0.7500]])
    """
    check(q, k, v)
    q = feature_map(q, feature) * (scale_of(q, scale) / k.shape[2])
    k = feature_map(k, feature)
    centred = q @ (k.mT @ v) - q @ k.sum(2, keepdim=True).mT * v.mean(2, keepdim=True)
    out = centred + v.mean(2, keepdim=True)
    return out if residual is None else out + _neighbours(v, residual, grid)


def _neighbours(v: Tensor, residual: Tensor, grid: Grid | None) -> Tensor:
    """Each head's own 3 x 3 filter over its values on the grid."""
    b, h, _, e = v.shape
    if grid is None or residual.shape != (b, h, 9):
        raise LayoutError(f"residual {list(residual.shape)} on grid {grid}", hint=f"[{b}, {h}, 9] and a Grid(h, w)")
    check_grid(grid, v)
    kernels = residual.reshape(b * h, 1, 1, 3, 3).expand(-1, e, -1, -1, -1).reshape(b * h * e, 1, 3, 3)
    maps = v.mT.reshape(1, b * h * e, grid.h, grid.w)
    return F.conv2d(maps, kernels.to(v), padding=1, groups=b * h * e).reshape(b, h, e, -1).mT
