"""Insertion: how fast the score rises when the map's best cells come first."""

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
    claim="an additive model's own contributions get the highest value any order can get",
    source="section 4.2: insertion",
    needs={"forward"},
    differs="cells of the map instead of pixels, a few steps instead of one a pixel; compared with random orders",
    unit="mean probability",
)
def insertion(heatmap: Float[Tensor, "h w"], forward: Forward, bank: OrderBank) -> ScoreValues:
    """Area under the target's probability while cells appear in a blurred picture, highest map value first.

    AUC = trapezoid of p(baseline with the j highest cells of x) over j / cells; higher is better.
    Inserting in an order is deleting in the reversed order, read backwards: so the null is that of
    `deletion`, reversed. Source: Petsiuk et al. 2018, "RISE", section 4.2.

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> rg.score(m, model, x, metric="insertion", orders=3).direction
    'higher'
    """
    order = heatmap.flatten().argsort(descending=True, stable=True)
    curve = bank.curve(forward, order.flip(0)).flip(0)
    x = 1.0 - bank.share_removed.to(curve).flip(0)
    null_curves = bank.scores.flip(1)
    return ScoreValues(
        value=float(torch.trapezoid(curve, x)),
        null=torch.trapezoid(null_curves, x),
        curve=torch.stack([x, curve]),
        null_curves=null_curves,
        convention=f"{bank.grid.patches} cells, {len(x) - 1} steps, {bank.draw.baseline} baseline, probability",
        higher_is_better=True,
    )
