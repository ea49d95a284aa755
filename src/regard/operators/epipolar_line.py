"""Epipolar line: a query looks at points on its line in each other view."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.layout import Grid
from regard.operators._shared import Keys, Output, Queries, Values, check_float, check_grid
from regard.registry import method


@method(
    "operators",
    paper="epipolar-attention",
    claim="equals a loop over queries and points; on rectified views with a point a cell, attention masked to the row",
    source="section 3.2: attention along epipolar lines, of several views together",
    needs={"q", "k", "v", "fundamentals", "grid"},
    differs="none",
    unit="values",
)
def epipolar_line(
    q: Queries, k: Keys, v: Values, fundamentals: Float[Tensor, "views 3 3"], grid: Grid, *, samples: int = 32,
    scale: float | None = None,
) -> Output:  # fmt: skip
    """softmax over points s of all views (scale q_i . k(x_is)) v(x_is), with x_is on the line F x_i of a view.

    fundamentals: for each other view F with x'^T F x = 0, of places (x + 0.5, y + 0.5, 1) in cells. The line is cut to
    the rectangle of cell centres, `samples` points lie on it at even steps, and k and v are read there bilinearly. A
    view that the line misses has no part; a query whose line misses all gets zeros. scale: 1 / sqrt(D) unless given.

    q [B, H, N, D] on `grid`; k [B, H, V N, D] and v [B, H, V N, E]: V views of the same grid, one after the other.
    Gives [B, H, N, E]. Cost N V samples (D + E) instead of N^2 V (D + E).

    Raises LayoutError where shapes do not fit. Source: Ye et al. 2025, "Synthesizing Consistent Novel Views via 3D
    Epipolar Attention without Re-Training", section 3.2.

    >>> import regard as rg, torch
    >>> q, k = torch.randn(2, 1, 1, 12, 4)
    >>> rectified = torch.tensor([[[0., 0., 0.], [0., 0., -1.], [0., 1., 0.]]])
    >>> v = torch.arange(3.).repeat_interleave(4).view(1, 1, 12, 1)  # its row: seen by the same row alone
    >>> rg.operators.epipolar_line(q, k, v, rectified, rg.Grid(3, 4), samples=4)[0, 0, ::4, 0].round()
    tensor([0., 1., 2.])
    """
    views = _check(q, k, v, fundamentals, grid, samples)
    places, seen = points_on_lines(fundamentals.double(), grid, samples)
    at = (2 * places / places.new_tensor([grid.w, grid.h]) - 1).to(q)
    logits = torch.einsum("bhnd,vbhdns->bhnvs", q, _read(k, views, grid, at))
    logits = logits * (q.shape[-1] ** -0.5 if scale is None else scale)
    hidden = ~seen.T.to(q.device)[:, :, None]
    nowhere = hidden.all(1, keepdim=True)
    weights = logits.masked_fill(hidden & ~nowhere, float("-inf")).flatten(3).softmax(-1).unflatten(3, (views, samples))
    weights = weights.masked_fill(nowhere, 0.0)
    return torch.einsum("bhnvs,vbhdns->bhnd", weights, _read(v, views, grid, at))


def points_on_lines(
    fundamentals: Float[Tensor, "v 3 3"], grid: Grid, samples: int
) -> tuple[Float[Tensor, "v n s 2"], Bool[Tensor, "v n"]]:
    """Points (x, y) in cells at even steps on each cell's line, and whether the line meets the rectangle of centres."""
    y, x = torch.meshgrid(torch.arange(grid.h) + 0.5, torch.arange(grid.w) + 0.5, indexing="ij")
    cells = torch.stack([x, y, torch.ones_like(x)], -1).view(-1, 3).to(fundamentals)
    lines = cells @ fundamentals.mT  # [V, N, 3]
    normal, length = lines[..., :2], lines[..., :2].norm(dim=-1, keepdim=True)
    foot = -lines[..., 2:] * normal / length.square().clamp_min(1e-300)
    along = torch.stack([-normal[..., 1], normal[..., 0]], -1) / length.clamp_min(1e-300)
    low, high = foot.new_tensor([0.5, 0.5]), foot.new_tensor([grid.w - 0.5, grid.h - 0.5])
    flat = along.abs() < 1e-12  # never leaves the rectangle along this axis, or is never in it
    ends = torch.stack([(low - foot) / along.where(~flat, 1.0), (high - foot) / along.where(~flat, 1.0)]).sort(0).values
    inside = (foot >= low - 1e-9) & (foot <= high + 1e-9)
    far = float(grid.h + grid.w) * 4
    first = ends[0].where(~flat, -far).amax(-1)
    last = ends[1].where(~flat, far).amin(-1)
    seen = (first <= last + 1e-9) & (inside | ~flat).all(-1) & (length[..., 0] > 0)
    steps = (
        torch.linspace(0, 1, samples, dtype=foot.dtype, device=foot.device) if samples > 1 else foot.new_tensor([0.5])
    )
    t = first[..., None] + (last - first)[..., None] * steps
    places = foot[..., None, :] + t[..., None] * along[..., None, :]
    return torch.where(seen[..., None, None], places, foot.new_zeros(())).clamp(low, high), seen


def _read(x: Tensor, views: int, grid: Grid, at: Tensor) -> Float[Tensor, "v b h d n s"]:
    """Bilinear values of each view's tokens at places in -1 .. 1."""
    b, h, _, d = x.shape
    planes = x.unflatten(2, (views, grid.h, grid.w)).permute(2, 0, 1, 5, 3, 4).flatten(1, 3)
    return F.grid_sample(planes, at, align_corners=False, padding_mode="border").unflatten(1, (b, h, d))


def _check(q: Tensor, k: Tensor, v: Tensor, fundamentals: Tensor, grid: Grid, samples: int) -> int:
    for name, x in (("q", q), ("k", k), ("v", v)):
        check_float(name, x)
    check_grid(grid, q)
    if fundamentals.ndim != 3 or fundamentals.shape[1:] != (3, 3) or not torch.isfinite(fundamentals).all():
        raise LayoutError(f"fundamental matrices {list(fundamentals.shape)}", hint="finite numbers [views, 3, 3]")
    views = len(fundamentals)
    if k.shape[2] != views * grid.patches or v.shape[2] != k.shape[2] or k.shape[-1] != q.shape[-1]:
        raise LayoutError(
            f"k {list(k.shape)} and v {list(v.shape)} for {views} views of {grid}",
            hint=f"[B, H, {views * grid.patches}, D]: the views one after the other",
        )
    if samples < 1:
        raise LayoutError(f"{samples} points on a line", hint="at least 1")
    return views
