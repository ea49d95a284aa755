"""Sensitivity-n: does a map's mass go with the loss of score, for subsets of every size?"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.metrics._correlation import correlation_error, correlations
from regard.registry import method
from regard.subjects.masks import MaskBank
from regard.subjects.values import ScoreValues

LEAST = 8  # subsets of a size, below which a correlation over them says nothing


@method(
    "metrics",
    paper="sensitivity-n",
    claim="1 at every n for a linear score's own contributions",
    source="definition 3.1 and section 4",
    needs={"masks"},
    differs="the sizes that a mask bank holds (a group, a quarter, a half, three quarters of the cells); one number is "
    "their mean",
    unit="correlation",
)
def sensitivity_n(maps: Float[Tensor, "n h w"], masks: MaskBank) -> ScoreValues:
    """Correlation of the map's sum over n removed cells with the loss of score, for several n; the mean of them.

    r(n) = corr_S(sum of phi over S, f(x) - f(x without S)), |S| = n; `curve` holds r against n / cells. Higher is
    better. The null: the map's own values in random places. Raises LayoutError for a bank with too few masks a size.

    Source: Ancona et al. 2018, "Towards better understanding of gradient-based attribution methods".

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> rg.score(m, model, x, metric="sensitivity_n", bank=rg.masks(model, x, m, rounds=2, each=8)).n
    99
    """
    sizes = masks.gone.sum(1)
    found = [n for n in sizes.unique().tolist() if int((sizes == n).sum()) >= LEAST]
    if not found:
        raise LayoutError(
            f"a bank of {len(sizes)} masks has under {LEAST} of every size", hint="regard.masks(..., each=32)"
        )
    laid = masks.laid(maps).T
    rows = torch.stack([correlations(masks.gone[sizes == n] @ laid, masks.drops[sizes == n]) for n in found])
    means = rows.mean(0)
    errors = [correlation_error(r, int((sizes == n).sum())) for r, n in zip(rows[:, 0], found, strict=True)]
    return ScoreValues(
        value=float(means[0]),
        null=means[1:],
        convention=f"{len(found)} sizes of {masks.cells.count} cells, {masks.draw.baseline} baseline",
        higher_is_better=True,
        curve=torch.stack([torch.tensor(found, dtype=rows.dtype) / masks.cells.count, rows[:, 0]]),
        null_curves=rows[:, 1:].T,
        se=float(torch.stack(errors).square().sum().sqrt() / len(found)),
    )
