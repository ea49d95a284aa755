"""LayerCAM: activations times positive gradients."""

from __future__ import annotations

from regard.registry import method
from regard.subjects.tap import Layer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="layercam",
    claim="the explicit sum over channels of activations times positive gradients",
    source="equations 5 and 6",
    needs={"layer"},
    differs="the ReLU of equation 7 is left to the reader",
    unit="logit",
)
def layercam(layer: Layer) -> MapValues:
    """Activations of a layer weighted, place by place, by the positive part of the gradient there.

    L_ij = sum_k A_kij max(0, dy / dA_kij). Our layer.values, layer.gradient: A and dy/dA `[B, C, h, w]`. Meant for
    early layers too (`site=`). Gives `[B, h, w]`.

    Source: Jiang et al. 2021, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization".

    >>> import regard as rg
    >>> model = rg.model("random:test_resnet")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="layercam", target=7).site
    'layer4'
    """
    cam = (layer.values * layer.gradient.clamp_min(0)).sum(1)
    return MapValues(cam, layer.grid, site=layer.address)
