"""TokenCut: the object as one side of a normalised cut through the patches."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.ndimage import label
from scipy.sparse.linalg import ArpackNoConvergence, eigsh
from torch import Tensor

from regard.errors import DegenerateError
from regard.layout import Grid
from regard.registry import method
from regard.subjects.values import PartsValues

WEAK = 1e-5  # weight of the edges below tau: keeps the graph connected
SMALL = 256  # patches up to which all of the graph's spectrum takes no time
COMPLETE = 0.985  # share of pairs above tau beyond which the cut shows noise


@method(
    "objects",
    paper="tokencut",
    claim="recovers two planted blocks exactly; beats a centre box and a colour cut on composited objects",
    source="section 3: graph over key features, second generalised eigenvector, bipartition",
    needs={"k"},
    differs="features are centred by default (raw DINOv2 keys share a bias that makes the graph complete); "
    "the object is by default the side with fewer border patches instead of the side of the largest entry; "
    "a complete graph is refused",
    unit="eigenvector entry",
)
def tokencut(
    features: Float[Tensor, "b p c"],
    grid: Grid,
    *,
    tau: float = 0.2,
    centre: bool = True,
    rule: Literal["border", "largest"] = "border",
    component: bool = True,
) -> PartsValues:
    """Cut the patches in two by the second eigenvector of their similarity graph.

    W_ij = 1 where cos(f_i, f_j) > tau, else 1e-5; (D - W) y = lambda D y with D = diag(sum_j W_ij);
    the second smallest lambda's y, split at its mean. The object is the side chosen by `rule`
    ("largest": the side holding the largest |y|, as in the paper; "border": the side with fewer of
    the picture's border patches), and of it the connected component with the largest |y| if `component`.

    Our features f: `[B, P, C]` over patches. Gives y `[B, 1, h, w]` (signed: the object side is
    positive) and the mask `[B, h, w]`; facts: edges (share of pairs above tau), eigenvalue,
    residual |(D - W) y - lambda D y| / |D y|.

    Raises DegenerateError if (nearly) all pairs or none pass tau. Source: Wang et al. 2022,
    "Self-Supervised Transformers for Unsupervised Object Discovery using Normalized Cut", section 3.

    >>> import torch, regard as rg
    >>> f = torch.eye(2).repeat_interleave(torch.tensor([4, 12]), 0)[None]
    >>> int(rg.objects.tokencut(f, rg.Grid(4, 4)).mask.sum())
    4
    """
    vectors, masks, facts = [], [], []
    for one in features.double().cpu().numpy():
        vector, mask, fact = _cut(one, grid, tau, centre, rule, component)
        vectors.append(vector)
        masks.append(mask)
        facts.append(fact)
    values = torch.from_numpy(np.stack(vectors))[:, None]
    return PartsValues(
        values=values.to(features.dtype),
        names=("second eigenvector",),
        grid=Grid(grid.h, grid.w),
        mask=torch.from_numpy(np.stack(masks)),
        facts={key: [f[key] for f in facts] for key in facts[0]},
    )


Cut = tuple[NDArray[np.float64], NDArray[np.bool_], dict[str, float]]


def _cut(one: NDArray[np.float64], grid: Grid, tau: float, centre: bool, rule: str, component: bool) -> Cut:
    if centre:
        one = one - one.mean(0)
    length = np.linalg.norm(one, axis=1, keepdims=True)
    if not np.isfinite(length).all() or length.max() == 0:
        raise DegenerateError("the patch features are constant or broken", hint="a picture with something in it")
    unit = one / np.maximum(length, 1e-12)
    similar = unit @ unit.T > tau
    edges = float((similar.sum() - len(one)) / max(1, len(one) * (len(one) - 1)))
    if edges > COMPLETE or edges == 0.0:
        raise DegenerateError(
            f"{100 * edges:.1f} % of the patch pairs are more alike than tau = {tau}: the graph holds no cut",
            hint="centre=True (subtracts what all patches share), or another tau",
        )
    y, facts = second_eigenvector(np.where(similar, 1.0, WEAK))
    y = y - y.mean()
    if not _positive_is_object(y, grid, rule):
        y = -y
    mask = (y > 0).reshape(grid.h, grid.w)
    if component:
        parts, _ = label(mask)
        mask = parts == parts.flat[int(np.argmax(y))]
    return y.reshape(grid.h, grid.w), mask, {"edges": edges, **facts}


def second_eigenvector(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """y of (D - W) y = lambda D y for the second smallest lambda, through the symmetric form."""
    degree = weights.sum(1)
    root = np.sqrt(degree)
    value, vector = _second_largest(weights / np.outer(root, root))
    y = vector / root
    rest = (degree * y - weights @ y) - (1 - value) * degree * y
    residual = float(np.linalg.norm(rest) / np.linalg.norm(degree * y))
    return y, {"eigenvalue": 1 - value, "residual": residual}


def _second_largest(affinity: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """By Lanczos, to machine precision: some twenty products, where LAPACK takes n^3 (11 s of 4096 patches, in one call
    that nothing can interrupt); by LAPACK where that is nothing, or Lanczos finds no end."""
    n = len(affinity)
    if n > SMALL:
        try:
            values, vectors = eigsh(affinity, k=2, which="LA", v0=np.random.default_rng(0).random(n))
            at = int(np.argmin(values))
            return float(values[at]), vectors[:, at]
        except ArpackNoConvergence:
            pass
    values, vectors = eigh(affinity, subset_by_index=[n - 2, n - 1])
    return float(values[0]), vectors[:, 0]


def _positive_is_object(y: NDArray[np.float64], grid: Grid, rule: str) -> bool:
    if rule == "largest":
        return bool(y[np.argmax(np.abs(y))] > 0)
    border = np.zeros((grid.h, grid.w), dtype=bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    edge = border.ravel()
    return bool(edge[y > 0].sum() <= edge[y <= 0].sum())
