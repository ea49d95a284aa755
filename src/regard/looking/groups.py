"""Groups of heads with like patterns: a few shares that say how each head looks, and a tree over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cophenet, fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from regard.atlas import HeadGroups
from regard.errors import LayoutError
from regard.layout import Grid

RINGS = (1.5, 3.0, 6.0, 12.0)  # patches
TRAITS = (
    "off the picture", "within 1.5", "1.5 to 3", "3 to 6", "6 to 12", "beyond 12",
    "sideways", "to the right", "downwards", "alike", "sharp",
)  # fmt: skip
# What a group is called whose mean of a trait stands out, upwards and downwards; "" if that says nothing.
WORDS = {
    "off the picture": ("looks off the picture, at CLS or registers", ""),
    "within 1.5": ("looks at its own place", ""),
    "1.5 to 3": ("looks next door", ""),
    "3 to 6": ("looks nearby", ""),
    "6 to 12": ("looks across", ""),
    "beyond 12": ("looks far", ""),
    "sideways": ("looks along rows", "looks along columns"),
    "to the right": ("looks to the right", "looks to the left"),
    "downwards": ("looks down", "looks up"),
    "alike": ("looks at the same patches from everywhere", "looks elsewhere from each patch"),
    "sharp": ("looks at few patches", "looks at many patches"),
}
Array = NDArray[np.float64]


def features(pooled: NDArray[np.floating], grid: Grid, cell: int) -> Array:
    """`[L, H, TRAITS]` in 0..1, from pooled attention `[L, H, G, P]` (query cells to patches) of one picture.

    off the picture: what a row lacks to 1. Of the rest, renormalised: shares by distance of the key from the
    query's cell, in rings of patches; |dx| over |dx| + |dy|; the parts to the right of |dx| and down of |dy|
    (0.5: as much as to the other side). alike: 1 - mean total variation between a row and the mean row.
    sharp: 1 - mean entropy over log P.
    """
    rows = np.asarray(pooled, dtype=np.float64)
    on = rows.sum(-1)
    p = rows / np.maximum(on, 1e-12)[..., None]
    dx, dy = offsets(grid, cell)
    away = np.hypot(dx, dy)
    rings = np.digitize(away, RINGS)
    shares = [np.einsum("lhgp,gp->lhg", p, rings == ring).mean(-1) for ring in range(len(RINGS) + 1)]
    across, down = (np.einsum("lhgp,gp->lh", p, np.abs(d)) for d in (dx, dy))
    right, below = (np.einsum("lhgp,gp->lh", p, np.maximum(d, 0)) for d in (dx, dy))
    mean_row = p.mean(2, keepdims=True)
    alike = 1 - np.abs(p - mean_row).sum(-1).mean(-1) / 2
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(-1).mean(-1)
    return np.stack(
        [
            np.clip(1 - on.mean(-1), 0, 1), *shares, _half(across, across + down), _half(right, across),
            _half(below, down), alike, np.clip(1 - entropy / np.log(max(2, grid.patches)), 0, 1),
        ],
        axis=-1,
    )  # fmt: skip


def offsets(grid: Grid, cell: int) -> tuple[Array, Array]:
    """From the middle of each query cell to each patch, `[G, P]`: to the right and down, in patches."""
    y, x = (c.ravel().astype(float) for c in np.mgrid[: grid.h, : grid.w])
    of = grid.cells(cell).numpy()
    count = np.bincount(of)
    middle = [np.bincount(of, weights=c) / count for c in (x, y)]
    return x[None] - middle[0][:, None], y[None] - middle[1][:, None]


def offset_map(pooled: NDArray[np.floating], grid: Grid, cell: int, *, reach: int = 8) -> Array:
    """Mean attention of one head by offset, `[2 reach + 1, 2 reach + 1]` with the query in the middle, from `[G, P]`.

    The mean is over all pairs of a cell and a patch that lie so apart (what lies between two offsets counts for
    both, in parts); offsets that the grid does not have are 0.
    """
    dx, dy = (d + reach for d in offsets(grid, cell))  # between two whole offsets where a cell has an even side
    size = 2 * reach + 1
    total, count = np.zeros(size * size), np.zeros(size * size)
    for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = np.floor(dx).astype(int) + x, np.floor(dy).astype(int) + y
        weight = (1 - np.abs(dx - column)) * (1 - np.abs(dy - row))
        inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
        at = (row * size + column)[inside]
        total += np.bincount(at, weights=(weight * pooled)[inside], minlength=size * size)
        count += np.bincount(at, weights=weight[inside], minlength=size * size)
    mean: Array = np.where(count > 0, total / np.maximum(count, 1e-12), 0).reshape(size, size)
    return mean


def _half(part: Array, whole: Array) -> Array:
    """part / whole, and a half where there is nothing to share."""
    return np.where(whole > 1e-12, part / np.maximum(whole, 1e-12), 0.5)


def group(found: Array, addresses: Sequence[str], count: int, pictures: Sequence[str] = ()) -> HeadGroups:
    """Ward's tree over the features `[L, H, F]`, cut into `count` groups, which are ordered by their mean layer."""
    layers, heads, width = found.shape
    flat = found.reshape(-1, width)
    if not 1 <= count <= len(flat):
        raise LayoutError(f"{len(flat)} heads in {count} groups", hint=f"1 .. {len(flat)}")
    if len(flat) == 1:
        labels, kept = np.zeros(1, dtype=int), 1.0
    else:
        apart = pdist(flat)
        tree = linkage(flat, "ward")
        labels = fcluster(tree, count, "maxclust") - 1
        kept = float(cophenet(tree, apart)[0]) if np.ptp(apart) > 0 else 1.0
    layer_of = np.repeat(np.arange(layers), heads)
    order = sorted(np.unique(labels), key=lambda g: (layer_of[labels == g].mean(), g))
    labels = np.array([order.index(g) for g in labels])
    medoids = [divmod(_medoid(flat, labels == g), heads) for g in range(len(order))]
    return HeadGroups(
        labels=labels.reshape(layers, heads),
        addresses=tuple(addresses),
        names=tuple(name(flat, labels == g) for g in range(len(order))),
        medoids=tuple(medoids),
        features=found,
        traits=TRAITS,
        pictures=tuple(pictures),
        cophenetic=kept,
        settings={"groups": count},
    )


def _medoid(flat: Array, members: NDArray[np.bool_]) -> int:
    """The member that is nearest to all others; the first of several."""
    inside = np.flatnonzero(members)
    return int(inside[squareform(pdist(flat[inside])).sum(1).argmin()])


def name(flat: Array, members: NDArray[np.bool_]) -> str:
    """The two traits in which a group stands out most from all heads, in units of their spread over all heads."""
    spread = np.maximum(flat.std(0), 0.02)  # a trait in which all heads are nearly the same names none
    stands = (flat[members].mean(0) - flat.mean(0)) / spread
    told: list[str] = []
    for at in np.argsort(-np.abs(stands), kind="stable"):
        phrase = WORDS[TRAITS[at]][0 if stands[at] > 0 else 1]
        if phrase and abs(stands[at]) >= 0.5:
            told.append(phrase)
        if len(told) == 2:
            break
    return ", ".join([told[0], *(t.removeprefix("looks ") for t in told[1:])]) if told else "like the average head"
