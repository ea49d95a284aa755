"""Mamba attention: the attention hidden in selective scans, through all layers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.layout import Grid
from regard.registry import method
from regard.subjects.scan import Scan, mean_attention
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="mamba-hidden-attention",
    claim="the query's row of the explicit product of the scans' hidden attention over the layers",
    source="hidden attention matrices; attention rollout; Mamba-attribution",
    needs={"scans"},
    differs="rows of |mean alpha| are divided by their sum, for alpha has signs; only one row of the product is kept",
    unit="share of attention",
)
def mamba_attention(
    x: Tensor, scans: list[Scan], *, query: int = -1, residual: float = 0.5, gradient: bool = False, start: int = 0
) -> MapValues:
    """Follow one token back to the patches through the attention that is hidden in selective scans.

    r <- residual r + (1 - residual) r P_l from the last layer to layer `start`, P = |mean_d alpha_d| with rows of sum
    1, alpha_ij = C_i exp(sum_{k=j+1..i} step_k A) step_j B_j. gradient: r <- r + r diag(max(0, mean_d dy/do_i)) |mean_d
    alpha_d| in its place, o the scan's output (Mamba-attribution). Scans are causal: query -1, the last token, sees
    all. All tokens have to be patches. Gives `[B, h, w]`.

    Raises LayoutError for tokens that are not the patches of a grid like the picture's.
    Source: Ali, Zimerman and Wolf 2024, "The Hidden Attention of Mamba Models".

    >>> import regard as rg
    >>> from regard.testing.planted import PlantedMamba, planted_pictures
    >>> heat = rg.explain(PlantedMamba(), planted_pictures([(2, 5)]), method="mamba_attention", target=1)
    >>> divmod(int(heat.values.argmax()), 8)
    (2, 5)
    """
    tokens = scans[0].made.step.shape[1]
    grid = _grid(tokens, x)
    if not -tokens <= query < tokens or not 0 <= start < len(scans):
        raise LayoutError(f"query {query} of {tokens} tokens, layer {start} of {len(scans)}", hint="query=-1, start=0")
    row = x.new_zeros(x.shape[0], tokens)
    row[:, query] = 1.0
    for scan in reversed(scans[start:]):
        row = _pushed(row, scan, residual, gradient)
    return MapValues(grid.to_map(row), grid, site=f"{scans[start].address} .. {scans[-1].address}")


def _pushed(row: Float[Tensor, "b n"], scan: Scan, residual: float, gradient: bool) -> Float[Tensor, "b n"]:
    size = mean_attention(scan.made).abs()
    if gradient:
        weight = scan.gradient.mean(-1).clamp_min(0)
        return row + torch.einsum("bi,bij->bj", row * weight, size)
    shares = size / size.sum(-1, keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)
    return residual * row + (1 - residual) * torch.einsum("bi,bij->bj", row, shares)


def _grid(tokens: int, x: Tensor) -> Grid:
    """The grid of as many patches with the sides of the picture."""
    height = round((tokens * x.shape[-2] / x.shape[-1]) ** 0.5) if x.ndim == 4 else 1
    if height < 1 or tokens % height:
        raise LayoutError(
            f"{tokens} tokens are no grid like a picture of {list(x.shape[2:])}", hint="a model of patches alone"
        )
    return Grid(height, tokens // height)
