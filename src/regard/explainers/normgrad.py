"""NormGrad: how large a part of a weight's gradient each place would make."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import CallError
from regard.registry import method
from regard.subjects.tap import Layer
from regard.subjects.values import MapValues

Phase1 = Literal["conv1x1", "conv3x3", "depthwise", "scaling", "bias"]
Phase2 = Literal["norm", "filtered_norm", "sum", "max"]


@method(
    "explainers",
    paper="normgrad",
    claim="places' parts sum to autograd's weight gradient of an identity layer put there; norms by closed forms",
    source="table 1 (spatial contributions of an identity layer) and section 3.3 (aggregation), 4 (combined layers)",
    needs={"layers"},
    differs="no outer product is formed",
    unit="gradient",
)
def normgrad(
    layers: list[Layer], *, phase1: Phase1 = "conv1x1", phase2: Phase2 = "norm", depth: int | None = None,
    combine: int = 4,
) -> MapValues:  # fmt: skip
    """Spatial contributions to the weight gradient of a virtual identity layer, aggregated at each place.

    Phase 1, with a, g the activation and its gradient at a place u: conv1x1 a g^T; conv3x3 a g^T with a of the 3 x 3
    places around u; depthwise the same channel by channel; scaling a * g; bias g. Phase 2: the norm of this, the norm
    of its positive part, its sum, its maximum. depth: one of the layers (negative from the last), else the product of
    the last `combine` layers' maps, each stretched to 0 .. 1, on the finest of their grids.

    layers: the last map of each size, or what enters a ViT's attentions, or those that `site` names. Gives `[B, h, w]`.
    Source: Rebuffi et al. 2020, "There and Back Again: Revisiting Backpropagation Saliency Methods".

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="normgrad", target=7).site
    'layer1 * layer2 * layer3 * layer4'
    """
    if depth is not None:
        if not -len(layers) <= depth < len(layers):
            raise CallError(f"no layer {depth}: there are {len(layers)}", hint=f"0 .. {len(layers) - 1}, or negative")
        layer = layers[depth]
        return MapValues(_contributions(layer, phase1, phase2), layer.grid, site=layer.address)
    chosen = layers[-combine:]
    finest = max(chosen, key=lambda layer: layer.grid.patches).grid
    product = chosen[0].values.new_ones(())
    for layer in chosen:
        one = _contributions(layer, phase1, phase2)
        low, high = one.amin((1, 2), keepdim=True), one.amax((1, 2), keepdim=True)
        stretched = (one - low) / (high - low).clamp_min(torch.finfo(one.dtype).tiny)
        product = product * F.interpolate(stretched[:, None], (finest.h, finest.w), mode="bilinear")[:, 0]
    return MapValues(product, finest, site=" * ".join(layer.address for layer in chosen))


def _contributions(layer: Layer, phase1: str, phase2: str) -> Float[Tensor, "b h w"]:
    a, g = layer.values, layer.gradient
    if phase1 in ("conv3x3", "depthwise"):
        around = F.unfold(a, 3, padding=1).unflatten(2, a.shape[2:])
        if phase1 == "conv3x3":
            return _of_outer(around, g, phase2)
        return _of_parts(around * g.repeat_interleave(9, dim=1), phase2)
    if phase1 == "conv1x1":
        return _of_outer(a, g, phase2)
    return _of_parts(a * g if phase1 == "scaling" else g, phase2)


def _of_parts(parts: Float[Tensor, "b k h w"], phase2: str) -> Float[Tensor, "b h w"]:
    if phase2 == "norm":
        return parts.norm(dim=1)
    if phase2 == "filtered_norm":
        return parts.clamp_min(0).norm(dim=1)
    return parts.sum(1) if phase2 == "sum" else parts.amax(1)


def _of_outer(a: Float[Tensor, "b k h w"], g: Float[Tensor, "b c h w"], phase2: str) -> Float[Tensor, "b h w"]:
    """Of the outer product a g^T, from a and g alone: its positive entries are those of equal signs."""
    if phase2 == "norm":
        return a.norm(dim=1) * g.norm(dim=1)
    if phase2 == "filtered_norm":
        plus = a.clamp_min(0).norm(dim=1) * g.clamp_min(0).norm(dim=1)
        minus = a.clamp_max(0).norm(dim=1) * g.clamp_max(0).norm(dim=1)
        return torch.hypot(plus, minus)
    if phase2 == "sum":
        return a.sum(1) * g.sum(1)
    return torch.stack([p * q for p in (a.amin(1), a.amax(1)) for q in (g.amin(1), g.amax(1))]).amax(0)
