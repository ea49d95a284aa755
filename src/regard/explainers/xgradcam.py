"""XGrad-CAM: channels weighted by their gradient where they are active."""

from __future__ import annotations

import torch

from regard.registry import method
from regard.subjects.tap import Layer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="xgradcam",
    claim="sums to the sum of activation times gradient, channel by channel",
    source="equation 8",
    needs={"layer"},
    differs="none",
    unit="logit",
)
def xgradcam(layer: Layer) -> MapValues:
    """Activations of a layer, each channel weighted by the mean of its gradient with the activation as weight.

    w_k = sum_ij A_kij G_kij / sum_ij A_kij (0 for a channel that sums to 0); L = sum_k w_k A_k, so the map's sum is
    that of A G: sensitivity and conservation at once. Our layer.values, layer.gradient: A and G = dy/dA
    `[B, C, h, w]`. Gives `[B, h, w]`.

    Source: Fu et al. 2020, "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs".

    >>> import regard as rg
    >>> model = rg.model("random:test_resnet")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="xgradcam", target=7).site
    'layer4'
    """
    total = layer.values.sum((2, 3), keepdim=True)
    mass = (layer.values * layer.gradient).sum((2, 3), keepdim=True)
    weights = torch.where(total == 0, torch.zeros_like(total), mass / total)
    return MapValues((weights * layer.values).sum(1), layer.grid, site=layer.address)
