"""Energy in mask: how much of a map's positive mass lies on the thing?"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from regard.metrics._region import share_inside
from regard.registry import method
from regard.subjects.controls import centre_gaussian
from regard.subjects.values import ScoreValues, of_maps


@method(
    "metrics",
    paper="scorecam",
    claim="1 for the region's own mask, the region's share of the picture for a constant map",
    source="section 4.3: energy-based pointing game",
    needs={"region"},
    differs="any region instead of a box; negative values count as nothing, or by size",
    unit="share",
)
def energy_in_mask(
    maps: Float[Tensor, "n h w"],
    region: Bool[Tensor, "H W"],
    *,
    sign: Literal["positive", "absolute"] = "positive",
) -> ScoreValues:
    """Mass of the map inside of the region over all of its mass; higher is better.

    E = sum_c m_c r_c / sum_c m_c, m = max(phi, 0) or |phi|, r_c the share of cell c in the region. The convention tells
    what a constant map (the region's area) and a Gaussian at the centre reach. A map without mass gets 0. The null:
    the map's own values in random places.

    Source: Wang et al. 2020, "Score-CAM", section 4.3.

    >>> import regard as rg, torch
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> left = torch.zeros(224, 224); left[:, :112] = 1
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> 0 <= rg.score(m, model, x, metric="energy_in_mask", region=left).value <= 1
    True
    """
    inside = share_inside(region, *maps.shape[1:])

    def energy(of: Tensor) -> Tensor:
        mass = of.double().clamp_min(0) if sign == "positive" else of.double().abs()
        total = mass.sum((-2, -1))
        return (mass * inside).sum((-2, -1)) / total.clamp_min(1e-300) * (total > 0)

    middle = float(energy(centre_gaussian(*maps.shape[1:])))
    told = (
        f"{sign} mass in a region of {float(region.double().mean()):.3f} of the picture; a centre reaches {middle:.3f}"
    )
    return of_maps(energy(maps), told, higher_is_better=True)
