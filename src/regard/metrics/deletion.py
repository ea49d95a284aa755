"""Deletion: how fast the score falls when the map's best cells go first."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.registry import method
from regard.subjects.bank import OrderBank
from regard.subjects.forward import Forward
from regard.subjects.values import ScoreValues


@method(
    "metrics",
    paper="rise",
    claim="an additive model's own contributions get the lowest value any order can get",
    source="section 4.2: deletion",
    needs={"forward"},
    differs="cells of the map instead of pixels, a few steps instead of one a pixel, a blurred picture instead of "
    "grey; compared with random orders of the same cells",
    unit="mean probability",
)
def deletion(heatmap: Float[Tensor, "h w"], forward: Forward, bank: OrderBank) -> ScoreValues:
    """Area under the target's probability while cells are removed, highest map value first.

    AUC = trapezoid of p(x without the j highest cells) over j / cells; lower is better. Ties are
    broken by position. The null are the same areas for random orders of the cells.

    Source: Petsiuk et al. 2018, "RISE", section 4.2.

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> rg.score(m, model, x, metric="deletion", orders=3).n
    3
    """
    order = heatmap.flatten().argsort(descending=True, stable=True)
    curve = bank.curve(forward, order)
    x = bank.share_removed.to(curve)
    return ScoreValues(
        value=float(torch.trapezoid(curve, x)),
        null=torch.trapezoid(bank.scores, x),
        curve=torch.stack([x, curve]),
        null_curves=bank.scores,
        convention=f"{bank.grid.patches} cells, {len(x) - 1} steps, {bank.draw.baseline} baseline, probability",
        higher_is_better=False,
    )
