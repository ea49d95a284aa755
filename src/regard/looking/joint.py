"""Queries and keys of one head in one space, where near means a large dot product (AttentionViz).

Attention looks only at differences of dot products within a query. Two changes leave it as it is:
keys may be moved by any one vector t, for softmax_j(q_i . (k_j + t)) = softmax_j(q_i . k_j), and may be
shrunk as queries are stretched, (c q) . (k / c) = q . k. Distances do change: with the keys centred and
c well chosen, |c q - k / c| mirrors the dot product. These two degrees of freedom are the paper's (Yeh et al.
2023); we centre the keys at the origin, where it moves them onto the queries, because that mirrors better
(DINOv2-small, two photos, c = 1: mean r over its 72 heads -0.86 against -0.70, and -0.75 with neither).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from regard.errors import DegenerateError

REACH = math.log(4.0)  # how far from the scale that makes the spreads alike a better one is looked for


def centre_keys(keys: Sequence[Float[Tensor, "n d"]]) -> list[Float[Tensor, "n d"]]:
    """The keys of all pictures moved by one vector, so that their mean is 0: attention stays as it is."""
    mean = torch.cat(list(keys)).mean(0)
    return [k - mean for k in keys]


def rescale(
    q: Float[Tensor, "n d"], k: Float[Tensor, "m d"], c: float
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
    """(c q, k / c): every dot product stays as it is."""
    return q * c, k / c


@dataclass(frozen=True)
class Pairs:
    """What distances and dot products of all (query, key) of the same picture are made of, `[P]` each."""

    dots: Float[Tensor, " p"]
    queries: Float[Tensor, " p"]
    keys: Float[Tensor, " p"]

    @classmethod
    def of(cls, queries: Sequence[Float[Tensor, "n d"]], keys: Sequence[Float[Tensor, "m d"]]) -> Pairs:
        """All pairs within each picture: queries never look at the keys of another one."""
        both = list(zip(queries, keys, strict=True))
        dots = torch.cat([(q @ k.T).flatten() for q, k in both])
        lengths = [(q.square().sum(1), k.square().sum(1)) for q, k in both]
        ours = torch.cat([q[:, None].expand(-1, len(k)).flatten() for q, k in lengths])
        theirs = torch.cat([k[None].expand(len(q), -1).flatten() for q, k in lengths])
        return cls(dots, ours, theirs)

    def distances(self, c: float) -> Float[Tensor, " p"]:
        """|c q - k / c| = sqrt(c^2 |q|^2 + |k|^2 / c^2 - 2 q . k)."""
        return (c**2 * self.queries + self.keys / c**2 - 2 * self.dots).clamp_min(0).sqrt()

    def correlation(self, c: float = 1.0) -> float:
        """Pearson's r of distance with dot product; -1 is a perfect mirror."""
        return correlate(self.distances(c), self.dots)


def correlate(a: Float[Tensor, " p"], b: Float[Tensor, " p"]) -> float:
    """Pearson's r; DegenerateError where one of the two is the same everywhere."""
    a, b = a - a.mean(), b - b.mean()
    size = a.norm() * b.norm()
    if not float(size) > 1e-12 * a.numel():
        raise DegenerateError(
            "all dot products of this head, or all distances, are the same: there is nothing to mirror",
            hint="another head: regard.heads(model, pictures) says which look at few keys",
        )
    return float((a * b).sum() / size)


def balanced_scale(queries: Sequence[Float[Tensor, "n d"]], keys: Sequence[Float[Tensor, "m d"]]) -> float:
    """The c at which c q and k / c are equally large: sqrt(rms |k| / rms |q|)."""
    sizes = [torch.cat(list(some)).square().sum(1).mean().sqrt() for some in (keys, queries)]
    return float((sizes[0] / sizes[1].clamp_min(1e-12)).sqrt().clamp(1e-6, 1e6)) or 1.0


def choose_scale(pairs: Pairs, around: float) -> float:
    """The c with the strongest negative correlation of distance with dot product, no worse than c = 1.

    Bounded search over log c, within a factor of 4 of `around` and of 1.
    """
    low, high = sorted((math.log(around), 0.0))
    found = minimize_scalar(
        lambda at: pairs.correlation(math.exp(at)),
        bounds=(low - REACH, high + REACH),
        method="bounded",
        options={"xatol": 1e-3},
    )
    return min((math.exp(float(found.x)), around, 1.0), key=pairs.correlation)


def project(points: Float[Tensor, "p d"]) -> tuple[Float[Tensor, "p 2"], float]:
    """The first two principal components, and their share of the variance; signs fixed by the largest entry."""
    centred = points - points.mean(0)
    total = float(centred.square().sum())
    if centred.shape[1] < 2 or total == 0:
        flat = centred.new_zeros(len(points), 2)
        flat[:, : min(2, centred.shape[1])] = centred[:, :2]
        return flat, 1.0
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    axes = vectors[:, -2:].flip(1)
    largest = axes.abs().argmax(0)
    axes = axes * axes[largest, torch.arange(2)].sign()
    plane = centred @ axes
    return plane, float(plane.square().sum() / total)
