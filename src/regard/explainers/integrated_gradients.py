"""Integrated gradients: the score's rise from a baseline, shared out over the pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.explainers._pixels import Baseline, on_pixels
from regard.registry import method
from regard.subjects.paths import completeness_gap, gauss_legendre
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="integrated-gradients",
    claim="sums to y(x) - y(b); exact for a polynomial score of degree below 2 steps",
    source="equation 1, with Gauss-Legendre points in the place of equation 3's Riemann sum",
    needs={"score"},
    differs="Gauss-Legendre quadrature; several baselines",
    unit="logit",
)
def integrated_gradients(
    x: Tensor, score: Scorer, generator: torch.Generator, *, baseline: Baseline = "black", steps: int = 50
) -> MapValues:
    """Input minus baseline, times the mean gradient on the straight path between them, summed over channels.

    a = (x - b) * integral_0^1 dy/dx (b + t (x - b)) dt. Our b, y: x' and F in the paper. The gap |sum a -
    (y(x) - y(b))| / |y(x) - y(b)| is what the quadrature misses; it need not fall with every step more. A black
    baseline is blind to black pixels. Gives `[B, H, W]`.

    Source: Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_resnet")
    >>> short = partial(rg.explainers.integrated_gradients, steps=4, baseline="blur")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method=short, target=7).forwards
    6
    """
    start = score.baseline(baseline, generator)
    path = gauss_legendre(steps)
    slopes = score.gradients((start + t * (x - start) for t, _ in path), steps)
    mean = torch.zeros_like(x)
    for (_, weight), slope in zip(path, slopes, strict=True):
        mean += weight * slope
    attributed = (x - start) * mean
    return on_pixels(attributed, gap=completeness_gap(attributed, score.value - score(start)))
