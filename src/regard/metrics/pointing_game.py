"""Pointing game: is the peak of a map on the thing, or next to it?"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from regard.errors import LayoutError
from regard.registry import method
from regard.subjects.controls import centre_gaussian
from regard.subjects.degenerate import check_ranks
from regard.subjects.values import ScoreValues, of_maps


@method(
    "metrics",
    paper="pointing-game",
    claim="1 where the peak lies in the region or within the tolerance, else 0",
    source="section 4.2: the pointing game",
    needs={"region"},
    differs="the peak is the centre of the map's highest cell; told beside what area and centre reach",
    unit="hit",
)
def pointing_game(maps: Float[Tensor, "n h w"], region: Bool[Tensor, "H W"], *, tolerance: float = 15.0) -> ScoreValues:
    """1 if the centre of the highest cell is at most `tolerance` pixels from the region, else 0; a mean is a hit rate.

    The convention tells the baselines: the share of the picture within the tolerance (what a random peak hits), and
    whether the centre hits. Ties go to the first cell. The null: the map's values in random places. Raises LayoutError
    for a negative tolerance.

    Source: Zhang et al. 2018, "Top-down Neural Attention by Excitation Backprop", section 4.2.

    >>> import regard as rg, torch
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> left = torch.zeros(224, 224); left[:, :112] = 1
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> rg.score(m, model, x, metric="pointing_game", region=left).value in (0.0, 1.0)
    True
    """
    check_ranks(maps[0])
    if tolerance < 0:
        raise LayoutError(f"a tolerance of {tolerance} pixels", hint="0 or more; 15 is usual")
    far = torch.from_numpy(distance_transform_edt(~region.numpy()))
    near = far <= tolerance
    (height, width), (h, w) = region.shape, maps.shape[1:]

    def hits(of: Tensor) -> Tensor:
        peak = of.flatten(1).argmax(1)
        rows = ((peak // w + 0.5) * height / h).long().clamp_max(height - 1)
        columns = ((peak % w + 0.5) * width / w).long().clamp_max(width - 1)
        return near[rows, columns].double()

    told = (
        f"tolerance {tolerance:g} px; a random peak hits {float(near.double().mean()):.3f}, "
        f"the centre {'hits' if hits(centre_gaussian(h, w)[None])[0] else 'misses'}"
    )
    return of_maps(hits(maps), told, higher_is_better=True)
