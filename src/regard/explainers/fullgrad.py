"""FullGrad: the gradient at the input and at every bias, which together are the whole score."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.explainers._biases import biases
from regard.explainers._pixels import on_pixels
from regard.layout import Grid
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="fullgrad",
    claim="x . dy/dx plus all bias gradients is the score to 1e-4, on ReLU and ReLU6 networks and on ViTs",
    source="equation 4 (decomposition), equation 5 (map), appendix on implicit biases",
    needs={"score"},
    differs="implicit biases of any module (LayerNorm, GELU, attention as a whole) by one derivative each",
    unit="share of each layer's range",
)
def fullgrad(x: Tensor, score: Scorer, *, scale: Literal["layer", "channel", "none"] = "layer") -> MapValues:
    """Input gradient and bias gradients of all layers that have the picture's shape, sizes added up.

    y = x . dy/dx + sum_l <dy/dz_l, b_l>; map = sum_c psi(x dy/dx)_c + sum_l sum_c up(psi(dy/dz_l b_l)_c), psi the
    absolute value, stretched to 0 .. 1 over each layer (the paper), each of its channels, or not at all. Token layers
    lie on the model's grid. Gives `[B, H, W]`; the gap |y - all parts| / |y| is what no module accounts for: products
    of two branches, non-linear functions that are no module.

    Our y, b_l: f and b in the paper. Source: Srinivas and Fleuret 2019, "Full-Gradient Representation for Neural
    Network Visualization".

    >>> import regard as rg
    >>> model = rg.model("random:test_resnet")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="fullgrad", target=7).gap < 1e-4
    True
    """
    found = biases(score, x)
    parts = x * found.gradient
    whole = parts.flatten(1).sum(1)
    heat = _psi(parts, scale).sum(1, keepdim=True)
    grid = score.grid
    for part in found.units:
        whole = whole + part.flatten(1).sum(1)
        layer = _as_layer(part, x, grid)
        if layer is not None:
            heat = heat + F.interpolate(_psi(layer, scale).sum(1, keepdim=True), x.shape[2:], mode="bilinear")
    whole = whole + (0 if found.others is None else found.others)
    return on_pixels(heat, gap=float(((score.value - whole) / score.value).abs().max()))


def _as_layer(part: Tensor, x: Tensor, grid: Grid | None) -> Float[Tensor, "b c h w"] | None:
    """A unit's part as a map of channels, or None where it has no place on the picture."""
    if part.ndim == 4 and part.shape[2:].numel() > 1:
        return part
    if part.ndim == 3 and grid is not None and part.shape[1] in (grid.tokens, grid.patches):
        return part[:, part.shape[1] - grid.patches :].mT.unflatten(2, (grid.h, grid.w))
    return None


def _psi(part: Float[Tensor, "b c h w"], scale: str) -> Float[Tensor, "b c h w"]:
    size = part.abs()
    if scale == "none":
        return size
    over = (1, 2, 3) if scale == "layer" else (2, 3)
    low, high = size.amin(over, keepdim=True), size.amax(over, keepdim=True)
    return (size - low) / (high - low).clamp_min(torch.finfo(size.dtype).tiny)
