"""`rank_attributes`: which attribute of a picture a map is about: the one whose own map it matches, if it is there."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.results import Map, Table


def rank_attributes(
    heatmap: Map,
    activations: Float[Tensor, "attributes h w"],
    confidence: Float[Tensor, " attributes"],
    names: tuple[str, ...],
    *,
    prior: float = 1.0,
    index: int = 0,
) -> Table:
    """Attributes from the best to the worst explanation of map `index`: match x confidence^prior.

    match: cosine of the attribute's activation map with the positive part of the map, both on the map's own grid
    (activations are averaged over, or spread out on, its cells); confidence: how sure it is that the picture shows
    the attribute, 0 .. 1. prior = 0 asks the maps alone. Columns: attribute, score, match, confidence.

    Raises LayoutError where the numbers of maps, confidences and names differ, or a confidence is no share.
    Source: Plummer et al. 2020, "Why do These Match? Explaining the Behavior of Image Similarity Models", section 3.3.

    >>> import numpy as np, torch, regard as rg
    >>> from regard.subjects.attributes import rank_attributes
    >>> heat = rg.Map(np.array([[[1.0, 0.0], [0.0, 0.0]]]), rg.Grid(2, 2), "sane")
    >>> maps = torch.tensor([[[0.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    >>> rank_attributes(heat, maps, torch.tensor([0.9, 0.5]), ("red", "striped")).column("attribute")
    ['striped', 'red']
    """
    if activations.ndim != 3 or not len(activations) == len(confidence) == len(names) or not len(names):
        raise LayoutError(
            f"{list(activations.shape)} activation maps, {len(confidence)} confidences and {len(names)} names",
            hint="maps [attributes, h, w], a confidence and a name for each",
        )
    if not bool(((confidence >= 0) & (confidence <= 1)).all()):
        raise LayoutError(
            f"confidences from {float(confidence.min()):.3g} to {float(confidence.max()):.3g}", hint="0..1"
        )
    heat = torch.from_numpy(heatmap.values[index]).double().clamp_min(0)
    same = F.interpolate(activations.double()[:, None], size=heat.shape, mode="area")[:, 0]
    match = F.cosine_similarity(same.flatten(1), heat.flatten()[None], dim=1)
    scores = match * confidence.double() ** prior
    rows = [
        (names[i], float(scores[i]), float(match[i]), float(confidence[i])) for i in scores.argsort(descending=True)
    ]
    return Table(("attribute", "score", "match", "confidence"), tuple(rows), title="attributes")
