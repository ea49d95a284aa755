"""Visual summaries: the regions that maps point to in many pictures, gathered into the parts that recur."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from scipy.ndimage import label
from torch import Tensor
from torch.nn import functional as F

from regard.errors import DegenerateError, LayoutError

DAMPING, ROUNDS = 0.7, 200


@dataclass(frozen=True)
class Summaries:
    """Regions of pictures and the cluster of each; clusters are numbered from the largest area to the smallest.

    masks: where each region lies; pictures: in which picture; cluster: to which summary it belongs; example: the
    region of each summary that is most like the others; similarity: of all regions in pairs, -1 .. 1.
    """

    masks: Float[Tensor, "n h w"]
    pictures: Int[Tensor, " n"]
    cluster: Int[Tensor, " n"]
    example: Int[Tensor, " k"]
    similarity: Float[Tensor, "n n"]

    @property
    def count(self) -> int:
        """How many summaries there are."""
        return len(self.example)


def visual_summaries(
    heat: Tensor, features: Tensor, *, level: float = 0.5, least: int = 2,
    bins: int = 3, preference: float | None = None,
) -> Summaries:  # fmt: skip
    """Cut maps into connected regions, compare all regions of a class, and cluster them without saying how many.

    A region: connected cells (also over corners) of at least `level` times its map's largest value, `least` cells or
    more. Similarity of two: each cell of one with each of the other, cosine of features (the mean feature of all cells
    taken off), weighted by how many pairs as alike agree on the same offset (Hough votes on bins x bins offsets,
    relative to the regions' middles); the best match of each cell, averaged both ways. Affinity propagation then finds
    clusters; preference: the similarity of a region with itself, which makes it an example (None: the least of all,
    for few summaries).
    heat and features on one grid: crisp maps, as `meaningful_perturbation` gives them, pooled to the model's patches.

    Raises LayoutError where the two do not fit, DegenerateError where no region is left.
    Source: Godi et al. 2018, "Understanding Deep Architectures by Visual Summaries", sections 3.1 and 3.2. Differs:
    patch features and votes on offsets in the place of proposal flow; summaries are ranked by area alone.

    >>> import torch
    >>> from regard.subjects.visual_summaries import visual_summaries
    >>> heat = torch.zeros(4, 6, 6); heat[:, 1:3, 1:3] = 1.0; heat[:, 4:, 3:] = 0.9
    >>> features = torch.zeros(4, 2, 6, 6); features[:, 0, 1:3, 1:3] = 1.0; features[:, 1, 4:, 3:] = 1.0
    >>> visual_summaries(heat, features).cluster.tolist()
    [1, 0, 1, 0, 1, 0, 1, 0]
    """
    if heat.ndim != 3 or features.ndim != 4 or heat.shape != features[:, 0].shape:
        raise LayoutError(
            f"maps {list(heat.shape)}, features {list(features.shape)}", hint="[B, h, w] and [B, C, h, w]"
        )
    if not 0 < level <= 1 or least < 1 or bins < 1:
        raise LayoutError(f"level {level}, regions of {least} cells, {bins} bins", hint="level=0.5, least=2, bins=3")
    masks, pictures = _regions(heat, level, least)
    if not len(masks):
        raise DegenerateError(f"no map has {least} cells together over {level} of its top", hint="a lower level")
    centred = features.double() - features.double().mean((0, 2, 3), keepdim=True)
    cells = [_cells(mask, centred[i]) for mask, i in zip(masks, pictures.tolist(), strict=True)]
    similarity = torch.eye(len(cells), dtype=torch.float64)
    for i, one in enumerate(cells):
        for j in range(i):
            similarity[i, j] = similarity[j, i] = _alike(one, cells[j], bins)
    example, chosen = affinity_propagation(similarity, preference)
    area = torch.zeros(len(example), dtype=torch.float64).index_add_(0, chosen, masks.flatten(1).sum(1).double())
    order = area.argsort(descending=True, stable=True)
    return Summaries(masks, pictures, order.argsort()[chosen], example[order], similarity)


def _regions(heat: Tensor, level: float, least: int) -> tuple[Float[Tensor, "n h w"], Int[Tensor, " n"]]:
    masks, pictures = [], []
    for i, one in enumerate(heat.detach().cpu().double()):
        if one.max() <= 0:
            continue
        labels, count = label((one >= level * one.max()).numpy(), structure=[[1] * 3] * 3)
        for part in range(1, count + 1):
            mask = torch.from_numpy(labels == part)
            if int(mask.sum()) >= least:
                masks.append(mask.float())
                pictures.append(i)
    stacked = torch.stack(masks) if masks else torch.zeros(0, *heat.shape[1:])
    return stacked, torch.tensor(pictures, dtype=torch.long)


def _cells(mask: Tensor, features: Float[Tensor, "c h w"]) -> tuple[Float[Tensor, "m c"], Float[Tensor, "m 2"]]:
    """Features of a region's cells, of length 1, and their places from its middle in units of its size."""
    at = mask.bool()
    places = at.nonzero().double()
    middle = (places.amax(0) + places.amin(0)) / 2
    size = (places.amax(0) - places.amin(0) + 1) / 2
    return F.normalize(features.cpu()[:, at].T, dim=1), (places - middle) / size


def _alike(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], bins: int) -> float:
    """Cosines of cells times the share of the votes for their offset; the best for each cell, averaged both ways."""
    cosine = one[0] @ other[0].T
    offset = one[1][:, None] - other[1][None]  # -2 .. 2 in each direction
    place = ((offset + 2) / 4 * bins).long().clamp(0, bins - 1)
    at = place[..., 0] * bins + place[..., 1]
    votes = torch.zeros(bins * bins, dtype=torch.float64).index_add_(0, at.flatten(), cosine.clamp_min(0).flatten())
    agreed = cosine * (votes / votes.max().clamp_min(1e-12))[at]
    return float((agreed.amax(1).mean() + agreed.amax(0).mean()) / 2)


def affinity_propagation(
    similarity: Float[Tensor, "n n"], preference: float | None = None
) -> tuple[Int[Tensor, " k"], Int[Tensor, " n"]]:
    """Examples and the cluster of each entry, by messages between all pairs (Frey and Dueck 2007); no number is given.

    r_ik = s_ik - max_{j != k} (a_ij + s_ij); a_ik = min(0, r_kk + sum_{j != i, k} max(0, r_jk)), a_kk = sum_{j != k}
    max(0, r_jk); damped by 0.7; then each cluster's most central
    entry is its example. Equal entries are told apart by 1e-9 of their order.
    """
    n = len(similarity)
    if n == 1:
        return torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long)
    off = similarity[~torch.eye(n, dtype=torch.bool)]
    s = similarity.clone() + 1e-9 * torch.arange(n * n, dtype=similarity.dtype).view(n, n).sin()
    s.diagonal().fill_(float(off.min()) if preference is None else preference)
    s.diagonal().add_(1e-9 * torch.arange(n, dtype=s.dtype).cos())
    r, a = torch.zeros_like(s), torch.zeros_like(s)
    rows = torch.arange(n)
    for _ in range(ROUNDS):
        both = a + s
        first, at = both.max(1)
        both[rows, at] = -torch.inf
        best = first[:, None].expand(n, n).clone()
        best[rows, at] = both.amax(1)
        r = DAMPING * r + (1 - DAMPING) * (s - best)
        heard = r.clamp_min(0)
        heard.diagonal().copy_(r.diagonal())
        total = heard.sum(0)[None] - heard
        own = total.diagonal().clone()
        total = total.clamp_max(0)
        total.diagonal().copy_(own)
        a = DAMPING * a + (1 - DAMPING) * total
    example = ((r + a).diagonal() > 0).nonzero()[:, 0]
    if not len(example):
        example = similarity.sum(0).argmax()[None]
    members = similarity[:, example].argmax(1)
    members[example] = torch.arange(len(example))
    groups = [rows[members == k] for k in range(len(example))]  # of each cluster, the entry that is most like all of it
    example = torch.stack([inside[similarity[inside][:, inside].sum(0).argmax()] for inside in groups])
    chosen = similarity[:, example].argmax(1)
    chosen[example] = torch.arange(len(example))
    return example, chosen
