"""Fixations -> maps: counts, blurred maps, and the centre prior, which tells what is gained without any picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regard.errors import DegenerateError, LayoutError
from regard.gaze.data import Fixations

Array = NDArray[Any]
BANDWIDTHS = (0.02, 0.03, 0.045, 0.065, 0.09, 0.13)  # of the picture's width
UNIFORM = 0.01  # share of a flat map in the prior, so that no place is impossible
STRIP = 96  # columns that are blurred at once
COARSE = 100  # cells along the longer side in which the prior is fitted


def fixation_map(fixations: Fixations) -> Array:
    """How many fixations each pixel has, `[height, width]`; those outside the picture are dropped.

    >>> int(fixation_map(Fixations([[1.2, 0.9], [1.9, 0.1], [9.0, 0.0]], size=(2, 3)))[0, 1])
    2
    """
    there = fixations.inside()
    assert there.size is not None
    return _counts(there.xy, there.size)


def blurred(fixations: Fixations, *, sigma: float | None = None) -> Array:
    """The empirical map: counts blurred by a Gaussian of `sigma` pixels (one degree if not given), divided by the sum.

    Beyond its edge the picture counts as empty. Raises DegenerateError where no fixation lies inside.

    >>> m = blurred(Fixations([[4.5, 4.5]], size=(9, 9)), sigma=1.0)
    >>> round(float(m.sum()), 6), tuple(int(i) for i in np.unravel_index(m.argmax(), m.shape))
    (1.0, (4, 4))
    """
    there = fixations.inside()
    if not len(there):
        raise DegenerateError("no fixation lies inside the picture", hint="check size=(height, width) and the units")
    width = sigma if sigma is not None else fixations.per_degree
    if width is None or not width > 0:
        raise LayoutError(
            f"a blur of sigma={sigma}" if sigma is not None else "neither sigma nor pixels of a degree are known",
            hint="sigma in pixels, as 24.0",
        )
    assert there.size is not None
    spread = bells(there.xy, there.size, width)
    spread /= spread.sum()
    return spread


def bells(xy: Array, size: tuple[int, int], sigma: float) -> Array:
    """Sum of Gaussians about points `[n, 2]`, cut off at four sigma: what SciPy's filter makes of their counts.

    The sum is a product of matrices, D C A: counts C of the rows and columns that hold a point, their bells down and
    across, of these only what reaches a strip of the picture. The filter's cost grows with every pixel times the bell.
    """
    (columns, x), (rows, y) = (np.unique(np.floor(v).astype(int), return_inverse=True) for v in xy.T)
    counts = np.zeros((len(rows), len(columns)))
    np.add.at(counts, (y, x), 1.0)
    reach = int(4 * sigma + 0.5)
    bell = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    bell = np.append(bell / (2 * bell.sum() - bell[0]), 0.0)
    down, across = (
        bell[np.minimum(np.abs(np.arange(side)[:, None] - at), reach + 1)]
        for side, at in zip(size, (rows, columns), strict=True)
    )
    fallen, spread = down @ counts, np.empty(size)
    for left in range(0, size[1], STRIP):
        strip = slice(left, left + STRIP)
        near = slice(*np.searchsorted(columns, (left - reach, left + STRIP + reach)))
        spread[:, strip] = fallen[:, near] @ across[strip, near].T
    return spread


@dataclass(frozen=True, eq=False)
class Prior:
    """A density over the picture `[height, width]` that sums to 1, and how it was chosen."""

    density: Array
    bandwidth: float
    bits: float | None


def centre_prior(
    fixations: Fixations,
    *,
    size: tuple[int, int] | None = None,
    leave_out: str | None = None,
    bandwidth: float | None = None,
) -> Prior:
    """Where people look whatever the picture: a kernel density over all pictures, its width cross-validated.

    p(x) = (1 - u) sum_i G_s(x - x_i) / n + u / area, u = 0.01. The bandwidth s is the one under which the fixations of
    each picture are likeliest given those of all others (of BANDWIDTHS, in picture widths). `bits`: that
    log-likelihood over a flat map's, in bits a fixation. leave_out: a picture that the prior must not know; bandwidth:
    one that was chosen before (then bits is None), which spares the search for every picture that is left out.

    Fitted in cells (100 along the longer side) and laid out smoothly at `size`. Raises DegenerateError for fewer than
    two pictures.

    >>> rng = np.random.default_rng(0)
    >>> xy = rng.normal([30.0, 20.0], 5.0, (200, 2))
    >>> prior = centre_prior(Fixations(xy, image=["a", "b"] * 100, size=(40, 60)))
    >>> prior.density.shape, prior.bits > 0.5
    ((40, 60), True)
    """
    there = fixations.inside()
    assert there.size is not None
    target = size or there.size
    names = [name for name in there.images if name != leave_out]
    if len(names) < 2:
        raise DegenerateError(f"a centre prior out of {len(names)} pictures", hint="fixations on two pictures at least")
    cells = _cells(there.size)
    scale = np.array([cells[1] / there.size[1], cells[0] / there.size[0]])
    if bandwidth is not None:
        known = _counts(there.xy[there.image != leave_out] * scale, cells)
        return Prior(_laid_out(_spread(known, bandwidth), cells, target), bandwidth, None)
    each = np.stack([_counts(there.xy[there.image == name] * scale, cells) for name in names])
    whole = each.sum(0)
    best, chosen, kept = -np.inf, 0.0, whole
    for tried in BANDWIDTHS:
        spread = _spread(whole, tried)
        gain = 0.0
        for own in each:  # blurring is linear: the others' map is the whole less the own
            others = _mixed(spread - _spread(own, tried))
            gain += float((own * np.log2(others * others.size)).sum())
        if gain > best:
            best, chosen, kept = gain, tried, spread
    return Prior(_laid_out(kept, cells, target), chosen, best / float(whole.sum()))


def _laid_out(spread: Array, cells: tuple[int, int], target: tuple[int, int]) -> Array:
    """A density at the picture's size, between cells by straight lines."""
    smooth = ndimage.zoom(_mixed(spread), np.array(target) / cells, order=1, grid_mode=True, mode="nearest")
    return smooth / smooth.sum()


def _cells(size: tuple[int, int]) -> tuple[int, int]:
    shrink = min(1.0, COARSE / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def _spread(counts: Array, bandwidth: float) -> Array:
    return ndimage.gaussian_filter(counts, bandwidth * counts.shape[1], mode="constant", truncate=6.0)


def _mixed(spread: Array) -> Array:
    positive = np.maximum(spread, 0.0)
    return (1 - UNIFORM) * positive / positive.sum() + UNIFORM / positive.size


def _counts(xy: Array, size: tuple[int, int]) -> Array:
    at = np.floor(xy).astype(int)
    flat = np.bincount(at[:, 1] * size[1] + at[:, 0], minlength=size[0] * size[1])
    return flat.reshape(size).astype(np.float64)
