"""Attention-IoU: how far a map and a region, both as distributions, lie on each other."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.metrics._region import share_inside
from regard.registry import method
from regard.subjects.controls import centre_gaussian
from regard.subjects.values import ScoreValues, of_maps


@method(
    "metrics",
    paper="attention-iou",
    claim="1 exactly for equal maps, 0 exactly for disjoint ones",
    source="equations 1 and 2: mask score",
    needs={"region"},
    differs="negative values count as nothing; a map without mass gets 0 instead of NaN",
    unit="IoU",
)
def attention_iou(maps: Float[Tensor, "n h w"], region: Bool[Tensor, "H W"]) -> ScoreValues:
    """Soft intersection over union of the map with a region, each summing to 1; higher is more on it.

    IoU(m, n) = sum m n / sum ((m + n) / 2)^2. The mask score of the paper; its heat-map score is `overlap` of two maps.
    Whether more is better depends on the question: on the attribute's own region it is, on a protected one it is a
    bias. The null: the map's own values in random places; the convention tells what a centre reaches.

    Source: Serianni et al. 2025, "Attention IoU: Examining Biases in CelebA using Attention Maps".

    >>> import regard as rg, torch
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> left = torch.zeros(224, 224); left[:, :112] = 1
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> 0 <= rg.score(m, model, x, metric="attention_iou", region=left).value <= 1
    True
    """
    inside = share_inside(region, *maps.shape[1:])[None]
    middle = float(overlap(centre_gaussian(*maps.shape[1:])[None], inside)[0])
    return of_maps(overlap(maps, inside), f"a centre reaches {middle:.3f}", higher_is_better=True)


def overlap(a: Float[Tensor, "n h w"], b: Float[Tensor, "m h w"]) -> Float[Tensor, " n"]:
    """IoU of each map of a with its map of b, or with the only one; 0 where one of the two has no mass."""
    m, n = (one.double().clamp_min(0).flatten(1) for one in (a, b))
    full = (m.sum(1) > 0) & (n.sum(1) > 0)
    m, n = (one / one.sum(1, keepdim=True).clamp_min(1e-300) for one in (m, n))
    union = ((m + n) / 2).square().sum(1)
    return torch.where(full, (m * n).sum(1) / union.clamp_min(1e-300), 0.0)
