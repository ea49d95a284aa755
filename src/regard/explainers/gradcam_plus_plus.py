"""Grad-CAM++: channels weighted by their positive gradients, place by place."""

from __future__ import annotations

import torch

from regard.registry import method
from regard.subjects.tap import Layer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="gradcam-plus-plus",
    claim="the explicit weights of equation 19; Grad-CAM's direction where gradients are alike in a channel",
    source="equations 10 and 19, for an exponential of the score",
    needs={"layer"},
    differs="signed: the ReLU on the map is left to the reader",
    unit="logit",
)
def gradcam_plus_plus(layer: Layer) -> MapValues:
    """Activations of a layer, each channel weighted by a weighted sum of its positive gradients.

    w_k = sum_ij alpha_kij max(0, G_kij), alpha = G^2 / (2 G^2 + G^3 sum_ij A_kij), 0 where G is 0; L = sum_k w_k A_k.
    Our layer.values, layer.gradient: A and G = dy/dA `[B, C, h, w]`. Gives `[B, h, w]`.

    Source: Chattopadhyay et al. 2018, "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks".

    >>> import regard as rg
    >>> model = rg.model("random:test_resnet")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="gradcam_plus_plus", target=7).site
    'layer4'
    """
    values, slope = layer.values, layer.gradient
    below = 2 * slope.square() + slope.pow(3) * values.sum((2, 3), keepdim=True)
    alpha = torch.where(below == 0, torch.zeros_like(below), slope.square() / below)
    weights = (alpha * slope.clamp_min(0)).sum((2, 3), keepdim=True)
    return MapValues((weights * values).sum(1), layer.grid, site=layer.address)
