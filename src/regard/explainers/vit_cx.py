"""ViT-CX: a ViT's own features as masks, weighed by what the score keeps under them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.explainers._clusters import by_cosine
from regard.progress import track
from regard.registry import method
from regard.subjects.bank import BATCH
from regard.subjects.scorer import Scorer
from regard.subjects.tap import Activations
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="vit-cx",
    claim="explicit forwards on the same masks and noise",
    source="section 4: ViT masks, clusters, causal impact score with noise, pixel-wise mean over masks",
    needs={"attention", "activations", "score"},
    differs="logits, not probabilities; the map is kept on the layer's grid",
    unit="logit",
)
def vit_cx(
    x: Tensor,
    activations: Activations,
    score: Scorer,
    generator: torch.Generator,
    *,
    distance: float = 0.1,
    noise: float = 0.1,
) -> MapValues:
    """Mean, over the masks that cover a place, of the score under each mask.

    Masks M_k are means of clusters (complete linkage, cosine distance below `distance`) of a layer's channels, each
    stretched to 0 .. 1; s_k = y(x M_k + e (1 - M_k)) - y(x + e (1 - M_k)) + y(x), e ~ noise N(0, 1); map = sum_k s_k
    M_k / sum_k M_k. Two forwards a mask. Gives `[B, h, w]`.

    Our activations.values: what enters the last attention `[B, C, h, w]`. Source: Xie et al. 2022, "ViT-CX: Causal
    Explanation of Vision Transformers".

    >>> import regard as rg
    >>> from functools import partial
    >>> from regard.testing.planted import PlantedViT, planted_pictures
    >>> method = partial(rg.explainers.vit_cx, distance=0.3)
    >>> heat = rg.explain(PlantedViT(), planted_pictures([(2, 5)]), method=method, target=1)
    >>> divmod(int(heat.values.argmax()), 8)
    (2, 5)
    """
    drawn = noise * torch.randn((1, *x.shape[1:]), generator=generator, dtype=torch.float64).to(x)
    clusters = [_masks(one, distance) for one in activations.values]
    most = max(len(one) for one in clusters)
    padded = torch.stack([F.pad(one, (0, 0, 0, 0, 0, most - len(one))) for one in clusters], 1)  # empty masks weigh 0
    total = weight = torch.zeros_like(activations.values[:, 0])
    for masks in track(padded.split(max(1, BATCH // (2 * len(x)))), "masks"):
        full = F.interpolate(masks.flatten(0, 1)[:, None], x.shape[2:], mode="bilinear").to(x)
        hidden, again = drawn * (1 - full), x.repeat(len(masks), 1, 1, 1)
        seen, noisy = score(torch.cat([again * full + hidden, again + hidden])).chunk(2)
        impact = (seen - noisy).unflatten(0, masks.shape[:2]) + score.value
        total = total + (impact[..., None, None].to(total) * masks).sum(0)
        weight = weight + masks.sum(0)
    tiny = torch.finfo(weight.dtype).tiny
    return MapValues(total / weight.clamp_min(tiny), activations.grid, site=activations.address)


def _masks(channels: Tensor, distance: float) -> Tensor:
    """Cluster means `[k, h, w]` of channels that are each stretched to 0 .. 1."""
    low, high = channels.amin((1, 2), keepdim=True), channels.amax((1, 2), keepdim=True)
    stretched = (channels - low) / (high - low).clamp_min(torch.finfo(low.dtype).tiny)
    of = by_cosine(stretched.flatten(1), distance).to(channels.device)
    sums = stretched.new_zeros(int(of.max()) + 1, *stretched.shape[1:]).index_add_(0, of, stretched)
    return sums / torch.bincount(of).view(-1, 1, 1)
