"""HiResCAM: activations times gradients."""

from __future__ import annotations

from regard.registry import method
from regard.subjects.tap import Layer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="hirescam",
    claim="for a linear head after it, sums to the score without the head's bias",
    source="equation 3",
    needs={"layer"},
    differs="none",
    unit="logit",
)
def hirescam(layer: Layer) -> MapValues:
    """Activations of a layer times the gradient of the score at each place, summed over channels.

    L_ij = sum_k A_kij dy / dA_kij. Our layer.values, layer.gradient: A and dy/dA `[B, C, h, w]`. Gives `[B, h, w]`.

    Source: Draelos and Carin 2020, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional
    neural networks".

    >>> import regard as rg
    >>> model = rg.model("random:test_resnet")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="hirescam", target=7).site
    'layer4'
    """
    return MapValues((layer.values * layer.gradient).sum(1), layer.grid, site=layer.address)
