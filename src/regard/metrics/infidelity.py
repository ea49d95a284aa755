"""Infidelity: how far a map's sums over masked cells are from what the score loses."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from regard.registry import method
from regard.subjects.masks import MaskBank
from regard.subjects.values import ScoreValues, of_maps


@method(
    "metrics",
    paper="infidelity-sensitivity",
    claim="0 for w x (x - baseline) of a linear score, and least for the closed form that a bank gives",
    source="definition 2.1 with the optimal scaling of section 5",
    needs={"masks"},
    differs="square removal on the cells of a mask bank (partitions, quarters, halves), every mask alike in weight; "
    "the optimal scaling is held at 0 or above, so that a map turned over is not as good as the map",
    unit="score squared",
)
def infidelity(
    maps: Float[Tensor, "n h w"], masks: MaskBank, *, scaling: Literal["positive", "optimal", "none"] = "positive"
) -> ScoreValues:
    """Mean squared difference between a map's mass in removed cells and the loss of score; lower is better.

    INFD = E[(beta z . phi - (f(x) - f(x without z)))^2], z = 1 where a cell is gone; the paper's I is z * (x - b).
    beta = E[ab] / E[a^2] with a = z . phi and b the loss ("optimal", which makes phi and -phi the same; "positive"
    does not go below 0), or 1 ("none"). The null: the map's own values in random places, on the same masks.

    Source: Yeh et al. 2019, "On the (In)fidelity and Sensitivity for Explanations".

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> rg.score(m, model, x, metric="infidelity", bank=rg.masks(model, x, m, rounds=2, each=4)).direction
    'lower'
    """
    a, b = masks.gone @ masks.laid(maps).T, masks.drops[:, None]
    if scaling != "none":
        beta = (a * b).mean(0) / a.square().mean(0).clamp_min(1e-300)
        a = a * (beta.clamp_min(0) if scaling == "positive" else beta)
    errors = (a - b).square()
    return of_maps(
        errors.mean(0),
        f"{len(masks.keep)} masks of {masks.cells.count} cells, {masks.draw.baseline} baseline, {scaling} scaling",
        higher_is_better=False,
        se=float(errors[:, 0].std() / len(errors) ** 0.5) if torch.isfinite(errors).all() else None,
    )
