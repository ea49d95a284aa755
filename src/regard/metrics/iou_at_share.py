"""IoU at a share: how far the map's highest part and the thing overlap."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.errors import LayoutError
from regard.metrics._region import share_inside
from regard.registry import method
from regard.subjects.controls import centre_gaussian
from regard.subjects.degenerate import check_ranks
from regard.subjects.values import ScoreValues, of_maps


@method(
    "metrics",
    paper="cam-localisation",
    claim="1 for the region's own mask at its own share",
    source="section 3.2: thresholded maps",
    needs={"region"},
    differs="a share of the cells instead of 20 % of the highest value and a box around the largest piece",
    unit="IoU",
)
def iou_at_share(
    maps: Float[Tensor, "n h w"], region: Bool[Tensor, "H W"], *, share: float | None = None
) -> ScoreValues:
    """Intersection over union of the region and the map's highest cells, as many as `share` of them.

    share: None for the region's own share of the picture, so that a perfect map reaches 1 (up to cells cut by the
    outline). Areas are of pixels, each in its nearest cell. The convention tells what a centre reaches. Raises
    LayoutError for a share outside 0..1.

    Source: Zhou et al. 2016, "Learning Deep Features for Discriminative Localization".

    >>> import regard as rg, torch
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> left = torch.zeros(224, 224); left[:, :112] = 1
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> 0 <= rg.score(m, model, x, metric="iou_at_share", region=left).value <= 1
    True
    """
    check_ranks(maps[0])
    if share is not None and not 0 < share < 1:
        raise LayoutError(f"the highest {share} of the cells", hint="share between 0 and 1, or None")
    inside = share_inside(region, *maps.shape[1:]).flatten()
    cells = len(inside)
    count = max(1, round((float(region.double().mean()) if share is None else share) * cells))

    def overlap(of: Tensor) -> Tensor:
        top = of.flatten(1).argsort(dim=1, descending=True, stable=True)[:, :count]
        both = inside[top].sum(1)
        return both / (count + inside.sum() - both)

    middle = float(overlap(centre_gaussian(*maps.shape[1:])[None])[0])
    told = f"the highest {count} of {cells} cells; a centre reaches {middle:.3f}"
    return of_maps(torch.as_tensor(overlap(maps)), told, higher_is_better=True)
