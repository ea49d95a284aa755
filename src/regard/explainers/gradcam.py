"""Grad-CAM: channels weighted by their mean gradient."""

from __future__ import annotations

from regard.registry import method
from regard.subjects.tap import Layer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="gradcam",
    claim="equals CAM / (h w) for a network that ends in average pooling and a linear layer",
    source="written from equations 1 and 2",
    needs={"layer"},
    differs="signed: the ReLU of equation 2 is an option, off by default",
    unit="logit",
)
def gradcam(layer: Layer, *, relu: bool = False) -> MapValues:
    """Activations of a layer, each channel weighted by the mean gradient of the score at it.

    L = sum_k alpha_k A_k with alpha_k = mean_ij dy / dA_kij; ReLU(L) if `relu`.

    Our layer.values, layer.gradient: A and dy/dA `[B, C, h, w]`; y is the target's logit. Gives
    `[B, h, w]`: parts with positive values speak for the target, negative ones against it.
    Source: Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2.

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="gradcam", target=7).values.shape
    (1, 7, 7)
    """
    weights = layer.gradient.mean((2, 3), keepdim=True)
    cam = (weights * layer.values).sum(1)
    return MapValues(cam.clamp_min(0) if relu else cam, layer.grid, site=layer.address)
