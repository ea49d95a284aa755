"""Manhattan attention: retention on a picture, forgetting with the city-block distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.layout import Grid
from regard.operators._shared import (
    Keys,
    Output,
    Queries,
    Values,
    check,
    check_grid,
    log_decay,
    scale_of,
)  # fmt: skip
from regard.registry import method


@method(
    "operators",
    paper="rmt",
    claim="the axis-wise form equals the quadratic one to rounding; a decay of 1 is linear (or softmax) attention",
    source="the paper's two-dimensional decay; axis by axis by the Kronecker product of the decays of both axes",
    needs={"q", "k", "v", "grid"},
    differs="scores may stay linear, for which going axis by axis is exact; the paper splits softmax",
    unit="values",
    kinds="self",
)
def manhattan(
    q: Queries, k: Keys, v: Values, grid: Grid, *, decay: Sequence[float] | Tensor | None = None,
    scores: Literal["linear", "softmax"] = "linear", form: Literal["parallel", "axial"] = "axial",
    scale: float | None = None,
) -> Output:  # fmt: skip
    """Attention times gamma^(|dx| + |dy|), for every query in all four directions.

    out_i = sum_j s_ij gamma^(|x_i - x_j| + |y_i - y_j|) v_j, with s = scale q . k (linear) or its softmax. The decay
    of the plane is the Kronecker product of two decays along its axes, so with linear scores the products k_j v_j^T
    are smoothed along columns, then along rows, and read by q (axial): cost N (h + w) D E instead of N^2 (D + E).
    decay: gamma of each head, by default 1 - 2^(-2 - 6 h / H).

    q, k [B, H, N, D], v [B, H, N, E] on a grid of N patches; gives [B, H, N, E].

    Raises LayoutError where shapes do not fit, a decay lies outside [0, 1], or softmax is asked for axis by axis.
    Source: Fan et al. 2024, "RMT: Retentive Networks Meet Vision Transformers".

    >>> import regard as rg, torch
    >>> one = torch.ones(1, 1, 4, 1)
    >>> rg.operators.manhattan(one, one, one, rg.Grid(2, 2), decay=(0.5,)).flatten()  # 1 + 1/2 + 1/2 + 1/4
    tensor([2.2500, 2.2500, 2.2500, 2.2500])
    """
    check(q, k, v, same_count=True)
    check_grid(grid, q)
    if decay is None:
        decay = 1 - 2.0 ** (-2 - 6 * torch.arange(q.shape[1]).double() / q.shape[1])
    log = log_decay(decay, q)
    down, across = (_decays(log, side) for side in (grid.h, grid.w))
    q = q * scale_of(q, scale)
    if (scores, form) == ("linear", "axial"):
        products = (k[..., :, None] * v[..., None, :]).flatten(-2).unflatten(2, (grid.h, grid.w))
        smooth = torch.einsum("bhij,bhjwf->bhiwf", down.expand(len(q), -1, -1, -1), products)
        smooth = across[:, :, None] @ smooth
        return (q[..., None, :] @ smooth.reshape(*k.shape, v.shape[-1]))[..., 0, :]
    if form != "parallel" or scores not in ("linear", "softmax"):
        raise LayoutError(f"scores='{scores}' with form='{form}'", hint="linear: parallel or axial; softmax: parallel")
    plane = torch.einsum("xhij,xhkl->xhikjl", down, across).flatten(4).flatten(2, 3)
    weights = q @ k.mT if scores == "linear" else torch.softmax(q @ k.mT, -1)
    return (weights * plane) @ v


def _decays(log: Tensor, side: int) -> Tensor:
    """gamma^|i - j| along one axis, [1, H, side, side]."""
    at = torch.arange(side, dtype=log.dtype, device=log.device)
    return (log * (at[:, None] - at).abs()).exp()
