"""EMD: how far mass has to travel from one map to the other."""

from __future__ import annotations

import torch

from regard.errors import LayoutError
from regard.gaze.metrics._shared import Heatmap, Lower, Truth, check_pair, shares
from regard.registry import method

MOST = 32  # cells along a side; the programme has up to a quarter of the square of all cells as variables


@method(
    "gaze.metrics",
    paper="mit-saliency",
    claim="equals SciPy's one-dimensional distance for maps of one row, and the shift of a single cell",
    source="the MIT benchmark's EMD",
    needs={"heatmap", "truth"},
    differs="an exact linear programme on maps reduced by means, where the benchmark interpolates",
    unit="cells",
)
def emd(heatmap: Heatmap, truth: Truth, *, cells: int = 24) -> Lower:
    """Earth mover's distance min sum f_ij d_ij of the two maps, each divided by its sum, on a reduced grid.

    cells: along the longer side (24 is about 1/32 of a photo).

    d: Euclidean, in cells. Mass that is in its place already does not move (d is a metric), so only differences travel.

    heatmap, truth [h, w]. Raises LayoutError for maps of two sizes or more than 32 cells a side.
    Source: Bylinskii et al. 2019.

    >>> import torch
    >>> emd(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]]), cells=3)
    tensor(2.)
    """
    check_pair(heatmap, truth)
    if not 1 < cells <= MOST:
        raise LayoutError(
            f"cells={cells} along the longer side", hint=f"2 .. {MOST}: the programme grows as its power 4"
        )
    shrink = max(1.0, max(heatmap.shape) / cells)
    h, w = (max(1, round(side / shrink)) for side in heatmap.shape)
    small = [torch.nn.functional.adaptive_avg_pool2d(t.double()[None], (h, w))[0] for t in (heatmap, truth)]
    surplus = (shares(small[0], "the map") - shares(small[1], "the map of people")).flatten()
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    where = torch.stack([y.flatten(), x.flatten()], 1).double()
    gives, takes = surplus > 1e-12, surplus < -1e-12
    if not (gives.any() and takes.any()):
        return heatmap.new_tensor(0.0)
    supply, demand = surplus[gives], -surplus[takes]
    cost = torch.cdist(where[gives], where[takes])
    return heatmap.new_tensor(_cheapest(supply / supply.sum(), demand / demand.sum(), cost) * float(supply.sum()))


def _cheapest(supply: torch.Tensor, demand: torch.Tensor, cost: torch.Tensor) -> float:
    """Value of the transport problem: rows give `supply`, columns take `demand`."""
    from scipy.optimize import linprog
    from scipy.sparse import eye, kron, vstack

    m, n = cost.shape
    rows = kron(eye(m), [[1.0] * n])
    columns = kron([[1.0] * m], eye(n))
    bounds = torch.cat([supply, demand])[:-1].numpy()  # the last follows from the others
    matrix = vstack([rows, columns]).tocsr()[:-1]
    return float(linprog(cost.flatten().numpy(), A_eq=matrix, b_eq=bounds, method="highs").fun)
