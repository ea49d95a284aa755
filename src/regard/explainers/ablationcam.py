"""Ablation-CAM: channels weighted by what the score loses without them."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import DegenerateError
from regard.progress import track
from regard.registry import method
from regard.subjects.bank import BATCH
from regard.subjects.scorer import Scorer
from regard.subjects.tap import Activations
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="ablationcam",
    claim="explicit ablations; for a linear head after average pooling, Grad-CAM's own direction",
    source="equations 1 and 2",
    needs={"activations", "score"},
    differs="signed: the ReLU on the map is left to the reader; tokens of a ViT are ablated as channels are",
    unit="activation",
)
def ablationcam(activations: Activations, score: Scorer) -> MapValues:
    """Activations of a layer, each channel weighted by the share of the score that goes when it is set to 0.

    w_k = (y - y_k) / y, y_k the score with A_k = 0; L = sum_k w_k A_k. One forward a channel. Gives `[B, h, w]`.

    Our activations.values: A `[B, C, h, w]`. Raises DegenerateError for a score of 0, of which nothing is a share.
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
    a = activations.values
    some = max(1, BATCH // a.shape[0])
    parts = track(torch.arange(a.shape[1]).split(some), "channels")
    left = [score.with_layer(activations, _without(a, part)) for part in parts]
    lost = whole - torch.cat(left).unflatten(0, (-1, a.shape[0]))
    weights = (lost / whole).mT
    return MapValues(torch.einsum("bk,bkhw->bhw", weights, a), activations.grid, site=activations.address)


def _without(values: Tensor, channels: Tensor) -> Tensor:
    """Copies of the pictures' activations, each without one channel, `[channels * B, C, h, w]`."""
    rest = values.repeat(len(channels), 1, 1, 1, 1)
    rest[torch.arange(len(channels)), :, channels] = 0.0
    return rest.flatten(0, 1)
