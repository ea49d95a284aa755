"""Ablation-CAM: channels weighted by what the score loses without them."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import DegenerateError
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.tap import Layer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="ablationcam",
    claim="explicit ablations; for a linear head after average pooling, Grad-CAM's own direction",
    source="equations 1 and 2",
    needs={"layer", "score"},
    differs="signed: the ReLU on the map is left to the reader; tokens of a ViT are ablated as channels are",
    unit="activation",
)
def ablationcam(layer: Layer, score: Scorer) -> MapValues:
    """Activations of a layer, each channel weighted by the share of the score that goes when it is set to 0.

    w_k = (y - y_k) / y, y_k the score with A_k = 0; L = sum_k w_k A_k. One forward a channel. Gives `[B, h, w]`.

    Our layer.values: A `[B, C, h, w]`. Raises DegenerateError for a score of 0, of which nothing is a share.
    Source: Desai and Ramaswamy 2020, "Ablation-CAM: Visual Explanations for Deep Convolutional Network via
    Gradient-free Localization".

    >>> import regard as rg
    >>> from regard.testing.planted import PlantedCNN, planted_pictures
    >>> heat = rg.explain(PlantedCNN(), planted_pictures([(2, 5)]), method="ablationcam", target=1)
    >>> divmod(int(heat.values.argmax()), 8)
    (2, 5)
    """
    whole = score.value
    if (whole == 0).any():
        raise DegenerateError(f"the score of {score.target.label} is 0: no share of it can be lost", hint="hirescam")
    channels = range(layer.values.shape[1])
    left = torch.stack([score.with_layer(layer, _without(layer.values, k)) for k in channels], 1)
    weights = (whole[:, None] - left) / whole[:, None]
    return MapValues(torch.einsum("bk,bkhw->bhw", weights, layer.values), layer.grid, site=layer.address)


def _without(values: Tensor, channel: int) -> Tensor:
    rest = values.clone()
    rest[:, channel] = 0.0
    return rest
