"""SRG: the area between the curves of removing least important cells first and most important first."""

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
    paper="srg",
    claim="widest for an additive model's own contributions, and minus that for their negative",
    source="section 4.3: symmetric relevance gain",
    needs={"forward"},
    differs="cells of the map instead of segments, a few steps; the null pairs random orders with random orders",
    unit="mean probability",
)
def srg(heatmap: Float[Tensor, "h w"], forward: Forward, bank: OrderBank) -> ScoreValues:
    """AUC of the probability while the lowest cells go first, less that while the highest go first; higher is better.

    SRG = AUC(LIF) - AUC(MIF), both on the same baseline: what the baseline does to any order alike cancels. The null:
    differences of two neighbouring random orders of the bank. A bank of under two orders gives none.

    Source: Bluecher, Vielhaben and Strodthoff 2024, "Decoupling Pixel Flipping and Occlusion Strategy".

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> rg.score(m, model, x, metric="srg", orders=3, steps=4).n
    3
    """
    order = heatmap.flatten().argsort(descending=True, stable=True)
    x = bank.share_removed.to(bank.scores)
    most, least = (bank.curve(forward, one) for one in (order, order.flip(0)))
    random = bank.scores.roll(1, 0) - bank.scores if len(bank.scores) > 1 else bank.scores[:0]
    return ScoreValues(
        value=float(torch.trapezoid(least - most, x)),
        null=torch.trapezoid(random, x),
        curve=torch.stack([x, least - most]),
        null_curves=random,
        convention=f"{bank.grid.patches} cells, {len(x) - 1} steps, {bank.draw.baseline} baseline, probability",
        higher_is_better=True,
    )
