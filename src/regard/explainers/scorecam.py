"""Score-CAM: channels weighted by the score of the picture seen through them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.progress import track
from regard.registry import method
from regard.subjects.bank import BATCH
from regard.subjects.scorer import Scorer
from regard.subjects.tap import Activations
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="scorecam",
    claim="the softmax of explicit scores of masked pictures as weights",
    source="equations 3 to 6",
    needs={"activations", "score"},
    differs="a temperature: on raw logits the softmax is next to one-hot. The baseline's score, which the softmax "
    "cancels, is left out; so is the ReLU",
    unit="activation",
)
def scorecam(x: Tensor, activations: Activations, score: Scorer, *, temperature: float = 1.0) -> MapValues:
    """Activations of a layer, each channel weighted by the score of the picture masked with it.

    w = softmax_k(y(x * m_k) / temperature), m_k channel k stretched to 0 .. 1 and enlarged bilinearly; L = sum_k w_k
    A_k. One forward a channel; masks are made a few at a time. Gives `[B, h, w]`.

    Our activations.values: A `[B, C, h, w]`. Raises LayoutError for a temperature of 0 or below.
    Source: Wang et al. 2020, "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks".

    >>> import regard as rg
    >>> from regard.testing.planted import PlantedCNN, planted_pictures
    >>> heat = rg.explain(PlantedCNN(), planted_pictures([(2, 5)]), method="scorecam", target=1)
    >>> divmod(int(heat.values.argmax()), 8)
    (2, 5)
    """
    if temperature <= 0:
        raise LayoutError(f"a temperature of {temperature}", hint="above 0; 1 in the paper")
    a = activations.values
    low, high = (f(a, (2, 3), keepdim=True) for f in (torch.amin, torch.amax))
    masks = (a - low) / (high - low).clamp_min(torch.finfo(low.dtype).tiny)
    some = max(1, BATCH // len(x))
    parts = track(masks.split(some, dim=1), "channels")
    scores = torch.cat([score(_seen_through(x, part)) for part in parts]).unflatten(0, (-1, len(x)))
    weights = (scores.mT / temperature).softmax(1)
    return MapValues(torch.einsum("bk,bkhw->bhw", weights, a), activations.grid, site=activations.address)


def _seen_through(x: Tensor, masks: Tensor) -> Tensor:
    """Each picture through each mask, `[masks * B, C, H, W]`."""
    large = F.interpolate(masks, x.shape[2:], mode="bilinear").to(x)
    return (large[:, :, None] * x[:, None]).transpose(0, 1).flatten(0, 1)
