"""KernelSHAP: Shapley values of cells by a regression on coalitions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.registry import method
from regard.subjects.cells import grid_cells
from regard.subjects.designs import coalitions
from regard.subjects.paths import completeness_gap
from regard.subjects.removal import Baseline, Removal
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="kernel-shap",
    claim="exact Shapley values where all coalitions fit into forwards; sums to the whole less the empty score",
    source="theorem 2: the Shapley kernel; the two constraints are eliminated",
    needs={"score"},
    differs="coalitions are drawn in pairs with their complements, sizes as the kernel weighs them, so that the "
    "regression needs no weights",
    unit="logit",
)
def kernel_shap(
    x: Tensor, score: Scorer, generator: torch.Generator, *, cells: int = 7, forwards: int = 1024,
    baseline: Baseline = "blur",
) -> MapValues:  # fmt: skip
    """Shapley value of each cell of a grid: its fair share of y(x) - y(baseline).

    min_phi sum_z pi(z) (y(z) - y(0) - phi z)^2 with sum phi = y(1) - y(0) and pi = (M - 1) / (C(M, |z|) |z| (M - |z|)).
    Where all 2^M - 2 coalitions fit into `forwards`, all are taken with their weights and the values are exact.
    Gives `[B, h, w]` on the grid of cells; `Map.gap` is 0 by construction.

    Raises LayoutError for fewer than two cells or too few forwards to tell cells apart.
    Source: Lundberg and Lee 2017, "A Unified Approach to Interpreting Model Predictions"; pairs: Covert and Lee 2021.

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_vit")
    >>> few = partial(rg.explainers.kernel_shap, cells=2, forwards=64)
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method=few, target=7).forwards
    64
    """
    pieces = grid_cells(x, cells)
    m = pieces.count
    if m < 2 or forwards < m + 2:
        raise LayoutError(f"{forwards} forwards for {m} cells", hint="two cells or more, and more forwards than cells")
    removal = Removal(score, pieces, baseline, generator)
    if m <= 20 and 2**m - 1 <= forwards:
        keep = (torch.arange(1, 2**m - 1)[:, None] >> torch.arange(m)) % 2 == 1
        size = keep.sum(1).double()
        choose = torch.lgamma(torch.tensor(m + 1.0)) - torch.lgamma(size + 1) - torch.lgamma(m - size + 1)
        weight = (m - 1) / (choose.exp() * size * (m - size))
    else:
        keep = coalitions(forwards - 1, m, generator)
        weight = torch.ones(len(keep), dtype=torch.float64)
    scores = removal(torch.cat([torch.zeros(1, m, dtype=torch.bool), keep]))
    empty, whole = scores[0], removal.whole.cpu()
    values = _constrained(keep.double(), scores[1:] - empty, weight, whole - empty)
    return MapValues(pieces.to_map(values.to(x.device)), pieces.on, gap=completeness_gap(values, whole - empty))


def _constrained(
    z: Float[Tensor, "n m"], y: Float[Tensor, "n b"], weight: Float[Tensor, " n"], total: Float[Tensor, " b"]
) -> Float[Tensor, "b m"]:
    """Weighted least squares whose coefficients sum to `total`: the last one is what the others leave."""
    rest = z[:, :-1] - z[:, -1:]
    target = y - z[:, -1:] * total
    root = weight.sqrt()[:, None]
    found = torch.linalg.lstsq(root * rest, root * target, driver="gelsd").solution
    return torch.cat([found, (total - found.sum(0))[None]]).T.contiguous()
