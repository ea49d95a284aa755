"""SaCo: do groups of cells that a map calls more salient cost the score more, one against one?"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.registry import method
from regard.subjects.masks import MaskBank
from regard.subjects.removal import Removal
from regard.subjects.values import ScoreValues


@method(
    "metrics",
    paper="saco",
    claim="1 for an additive score's own contributions, -1 for their negative, about 0 for random maps",
    source="algorithm 1",
    needs={"masks", "removal"},
    differs="groups of a mask bank's cells instead of pixels; the score is a logit unless asked otherwise; the null is "
    "taken from the bank's random partitions, at no further forward",
    unit="coefficient",
)
def saco(maps: Float[Tensor, "n h w"], masks: MaskBank, removal: Removal) -> ScoreValues:
    """Weighted agreement, over pairs of groups, of salience and effect; from -1 to 1, higher is better.

    Cells in rank order make K equal groups of mean salience s_i (sums over K change nothing but the scale, and where
    K does not divide the cells they would not keep the order); d_i is the loss of score without group i alone.
    F = sum over i < j of w_ij / sum |w_ij|, w_ij = s_i - s_j where d_i >= d_j, else s_j - s_i. Positive scale and
    offset of a map change nothing, a monotone curve does. The null: the same saliences s with the losses of random
    groups. Its standard deviation, .33 to .47 at K = 10, stands in the convention: one picture says
    little. A constant map has no order and gets 0.

    Source: Wu et al. 2024, "On the Faithfulness of Vision Transformer Explanations", algorithm 1.

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> -1 <= rg.score(m, model, x, metric="saco", bank=rg.masks(model, x, m, rounds=2, each=4)).value <= 1
    True
    """
    phi = masks.laid(maps[:1])[0]
    order = phi.argsort(descending=True, stable=True).tensor_split(masks.draw.groups)
    sums = torch.stack([phi[group].mean() for group in order])
    keep = torch.ones(len(order), len(phi), dtype=torch.bool)
    for row, group in zip(keep, order, strict=True):
        row[group] = False
    losses = masks.whole - removal(keep)[:, 0]
    value = coefficient(sums, losses[None])[0]
    null = coefficient(sums, _random_losses(masks, len(maps) - 1))
    spread = f", null SD {float(null.std()):.2f}" if len(null) > 1 else ""
    return ScoreValues(
        value=float(value),
        null=null,
        convention=f"{len(order)} groups of {len(phi)} cells, {masks.draw.baseline} baseline{spread}",
        higher_is_better=True,
    )


def coefficient(sums: Float[Tensor, " k"], losses: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """The weighted agreement of salience sums, largest first, with each row of losses."""
    i, j = torch.triu_indices(len(sums), len(sums), offset=1)
    weights = sums[i] - sums[j]
    signs = torch.where(losses[:, i] >= losses[:, j], 1.0, -1.0).to(weights)
    size = weights.abs().sum()
    return (signs * weights).sum(1) / size if size > 0 else torch.zeros(len(losses), dtype=sums.dtype)


def _random_losses(masks: MaskBank, n: int) -> Float[Tensor, "n k"]:
    """Losses of n random partitions: the bank's, each in several orders of its groups; larger groups stay first."""
    generator = torch.Generator().manual_seed(masks.draw.seed)
    drops = masks.group_drops
    which = torch.arange(n) % len(drops)
    smaller = torch.arange(drops.shape[1]) >= masks.cells.count % drops.shape[1]
    orders = (torch.rand(n, drops.shape[1], generator=generator, dtype=torch.float64) + smaller).argsort(1)
    return drops[which].gather(1, orders)
