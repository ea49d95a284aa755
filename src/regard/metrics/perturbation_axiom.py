"""XRAI's sanity axiom (perturbation-epsilon): whatever moves the score when it is removed has to be attributed."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.layout import Grid
from regard.registry import method
from regard.subjects.bank import BATCH, compose
from regard.subjects.baseline import baseline_picture
from regard.subjects.evidence import cells_like
from regard.subjects.forward import Forward
from regard.subjects.removal import Baseline
from regard.subjects.values import ScoreValues, of_maps


@method(
    "metrics",
    paper="xrai",
    claim="1 for an additive model's own contributions, less where a cell that matters is given nothing",
    source="section 3: perturbation-epsilon",
    needs={"forward", "x"},
    differs="cells instead of single features; attributions and losses are shares of their sums of sizes, since a "
    "map's scale is its own; the axiom is a yes or no, here it is the share of the loss for which it holds",
    unit="share",
)
def perturbation_axiom(
    maps: Float[Tensor, "n h w"],
    x: Tensor,
    forward: Forward,
    generator: torch.Generator,
    *,
    epsilon: float = 0.5,
    baseline: Baseline = "mean",
) -> ScoreValues:
    """Share of the losses of single cells at which a_i >= epsilon d_i; 1: the axiom holds; higher is better.

    d_i is what the probability loses without cell i alone, over the sum of |d|; a_i the map's value there, over the sum
    of |a|. Cells whose removal does not lower the probability ask for nothing. value = sum of d_i where it holds over
    the sum of all d_i > 0. Integrated gradients from black fail it on black objects. One forward a cell, at most 14
    along the shorter side. The null: the map's own values in random places.

    Raises LayoutError for an epsilon that is not above 0.
    Source: Kapishnikov et al. 2019, "XRAI: Better Attributions Through Regions".

    >>> import regard as rg
    >>> from regard.testing.planted import PlantedCNN, planted_pictures
    >>> x = planted_pictures([(2, 5)])
    >>> m = rg.explain(PlantedCNN(), x, method="gradcam", target=1)
    >>> 0 <= rg.score(m, PlantedCNN(), x, metric="perturbation_axiom").value <= 1
    True
    """
    if epsilon <= 0:
        raise LayoutError(f"epsilon {epsilon}", hint="above 0; at 1 the map's shares are no smaller than the losses'")
    grid = cells_like(x, Grid(*maps.shape[1:])).on
    replaced = baseline_picture(x, baseline, generator=generator)
    alone = torch.eye(grid.patches, dtype=torch.bool)
    scores = [forward(compose(x, replaced, part.to(x.device), grid)) for part in alone.split(BATCH)]
    lost = forward.whole - torch.cat(scores).double().cpu()
    given = F.adaptive_avg_pool2d(maps.double()[:, None], (grid.h, grid.w)).flatten(1)
    given, share = (one / one.abs().sum(-1, keepdim=True).clamp_min(1e-300) for one in (given, lost))
    asked = share.clamp_min(0)
    held = ((given >= epsilon * share) * asked).sum(1) / asked.sum().clamp_min(1e-300)
    told = f"{grid.patches} cells, epsilon {epsilon:g}, {baseline} baseline, probability"
    return of_maps(held, told, higher_is_better=True)
