"""ROAD: removing the lowest cells against removing the highest, where what is gone is filled from around it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.metrics._linear_infill import linear_infill
from regard.registry import method
from regard.subjects.bank import BATCH
from regard.subjects.degenerate import check_ranks
from regard.subjects.forward import Forward
from regard.subjects.values import ScoreValues


@method(
    "metrics",
    paper="road",
    claim="an additive model's own contributions reach what no other order of its cells does",
    source="section 4 (noisy linear imputation) and section 5: both orders",
    needs={"forward", "x"},
    differs="one picture's probability instead of accuracy over a data set; cells of the map instead of pixels",
    unit="probability",
)
def road(
    maps: Float[Tensor, "n h w"],
    x: Tensor,
    forward: Forward,
    generator: torch.Generator,
    *,
    shares: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8),
    noise: float = 0.01,
    random: int = 9,
) -> ScoreValues:
    """Half of the probability without the lowest cells less that without the highest; higher is better.

    ROAD = mean_s (p(without the lowest s) - p(without the highest s)) / 2. Gone pixels become a weighted mean of their
    neighbours, all at once, plus N(0, noise^2) in the picture's own units, the same noise for every mask: the shape of
    a mask cannot be read off, so that it tells the class less than a flat baseline does. `curve`: the difference by
    share. The null: `random` maps of the same values in random places, two systems and two forwards a share each.

    Raises LayoutError for shares outside of 0 to 1, or such that no cell or every cell goes.
    Source: Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods".

    >>> import regard as rg
    >>> from functools import partial
    >>> from regard.testing.planted import PlantedCNN, planted_pictures
    >>> x = planted_pictures([(2, 5)])
    >>> m = rg.explain(PlantedCNN(), x, method="gradcam", target=1)
    >>> rg.score(m, PlantedCNN(), x, metric=partial(rg.metrics.road, random=3)).n
    3
    """
    check_ranks(maps[0])
    some = maps[: 1 + random]
    counts = [round(share * some[0].numel()) for share in shares]
    if not counts or not all(
        0 < share < 1 and 0 < n < some[0].numel() for share, n in zip(shares, counts, strict=True)
    ):
        raise LayoutError(
            f"shares {shares} of {some[0].numel()} cells", hint="between 0 and 1, at least a cell gone and one left"
        )
    drawn = noise * torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)
    scores = torch.stack([
        removed(some if low else -some, counts, x, drawn, forward) for low in (True, False)
    ])  # fmt: skip
    gains = (scores[0] - scores[1]) / 2
    means = gains.mean(1)
    at = torch.tensor(shares, dtype=gains.dtype)
    return ScoreValues(
        value=float(means[0]),
        null=means[1:],
        convention=f"{some[0].numel()} cells, {len(shares)} shares, linear in-fill with noise {noise:g}, probability",
        higher_is_better=True,
        curve=torch.stack([at, gains[0]]) if len(shares) > 1 else None,
        null_curves=gains[1:] if len(shares) > 1 else None,
    )


def removed(
    maps: Float[Tensor, "n h w"], counts: list[int], x: Tensor, noise: Tensor, forward: Forward
) -> Float[Tensor, "n s"]:
    """Probabilities without the lowest cells of each map, for each count."""
    ranks = maps.flatten(1).argsort(dim=1, stable=True).argsort(dim=1).view_as(maps)
    keep = torch.stack([ranks >= count for count in counts], 1).flatten(0, 1)
    made = []
    for part in keep.split(BATCH):
        on = laid(part, x)
        made.append(forward(torch.where(on[:, None], x, linear_infill(x, on) + noise)).double().cpu())
    return torch.cat(made).view(len(maps), len(counts))


def laid(keep: Bool[Tensor, "n h w"], x: Tensor) -> Bool[Tensor, "n H W"]:
    """Cells at the picture's size."""
    return F.interpolate(keep[:, None].to(x), size=x.shape[-2:], mode="nearest-exact")[:, 0].bool()
