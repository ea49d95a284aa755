"""Linear in-fill: pixels that are gone become what their neighbours say, all of them at once (Rong et al. 2022)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from regard.errors import LayoutError

SIDE, CORNER = 1 / 6, 1 / 12  # weights of the eight neighbours; they sum to 1


def linear_infill(x: Float[Tensor, "1 c H W"], keep: Bool[Tensor, "n H W"]) -> Float[Tensor, "n c H W"]:
    """x with each pixel that is not kept equal to the weighted mean of its neighbours, kept or not.

    Solves sum_j w_ij (u_i - u_j) = 0 for all gone i, w = 1/6 to the four sides and 1/12 to the four corners, what lies
    outside of the picture left out. The system is symmetric and positive; it is factorised once a mask, for all
    channels, on the CPU and in float64. Raises LayoutError where a mask keeps nothing: there is nothing to fill from.
    """
    if not keep.flatten(1).any(1).all():
        raise LayoutError("a mask that keeps no pixel", hint="at least one pixel to fill from")
    picture = x[0].detach().cpu().double().numpy()
    made = [torch.from_numpy(_solved(picture, stays)) for stays in keep.cpu().numpy()]
    return torch.stack(made).to(x)


def _solved(x: NDArray[np.float64], keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    height, width = keep.shape
    framed = np.full((height + 2, width + 2), -2)  # -2: outside; -1: kept; else which unknown
    framed[1:-1, 1:-1] = -1
    ys, xs = np.nonzero(~keep)
    if not len(ys):
        return x.copy()
    unknown = np.arange(len(ys))
    framed[ys + 1, xs + 1] = unknown
    weight, right = np.zeros(len(ys)), np.zeros((len(ys), len(x)))
    parts: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
    for dy, dx in ((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b):
        share = CORNER if dy and dx else SIDE
        beside = framed[ys + 1 + dy, xs + 1 + dx]
        weight += share * (beside > -2)
        kept, gone = beside == -1, beside >= 0
        right[kept] += share * x[:, ys[kept] + dy, xs[kept] + dx].T
        parts.append((np.full(gone.sum(), -share), unknown[gone], beside[gone]))
    parts.append((weight, unknown, unknown))
    values, rows, columns = (np.concatenate(each) for each in zip(*parts, strict=True))
    system = csc_matrix((values, (rows, columns)), shape=(len(ys), len(ys)))
    # The order of a symmetric pattern, no pivots: twice as fast as SuperLU's defaults and safe, as the diagonal rules.
    factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    made = x.copy()
    made[:, ys, xs] = factors.solve(right).T
    return made
