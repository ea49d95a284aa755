"""XRAI: regions in the order of their density of integrated gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.explainers._pixels import on_pixels
from regard.explainers._regions import SIDE, felzenszwalb_regions, grow
from regard.registry import method
from regard.subjects.paths import gauss_legendre
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="xrai",
    claim="equals the authors' package on the same attributions and segments; the order of regions is nested",
    source="section 3, algorithm 1; the settings of the authors' package",
    needs={"score"},
    differs="Gauss-Legendre points; black and white as the model's scale has them; pictures smaller than 224 x 224 are "
    "not enlarged to be segmented",
    unit="logit per pixel",
)
def xrai(x: Tensor, score: Scorer, *, steps: int = 50, least: int = 50) -> MapValues:
    """Mean integrated gradient of each region on the pixels that it adds to those before it.

    Attributions are integrated gradients from black and from white, averaged, the largest over channels. Regions are
    Felzenszwalb's at six scales, each widened by 5 pixels. The region whose new pixels have the highest mean comes
    first, and so on; one that adds fewer than `least` pixels (of a picture of 224 x 224) is left out. Every pixel's
    value is the mean with which it was added. Gives `[B, H, W]`.

    Source: Kapishnikov, Bolukbasi, Viegas and Terry 2019, "XRAI: Better Attributions Through Regions".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_vit")
    >>> short = partial(rg.explainers.xrai, steps=2)
    >>> x = rg.image("sample:coffee", like=model)[:, :, 100:196, 100:196]
    >>> rg.explain(model, x, method=short, target=7).values.shape
    (1, 96, 96)
    """
    if x.ndim != 4 or least < 1:
        raise LayoutError(
            f"an input {list(x.shape)} and at least {least} new pixels", hint="pictures [B, C, H, W], least=50"
        )
    path = gauss_legendre(steps)
    attributed = torch.zeros_like(x)
    for name in ("black", "white"):
        start = score.baseline(name)
        slopes = score.gradients((start + t * (x - start) for t, _ in path), steps)
        for (_, weight), slope in zip(path, slopes, strict=True):
            attributed += 0.5 * weight * (x - start) * slope
    enough = max(1, round(least * min(1.0, x.shape[2] * x.shape[3] / SIDE**2)))
    made = [
        grow(one.amax(0).cpu(), felzenszwalb_regions(picture), enough)[0]
        for one, picture in zip(attributed, x, strict=True)
    ]
    return on_pixels(torch.stack(made)[:, None].to(x))
