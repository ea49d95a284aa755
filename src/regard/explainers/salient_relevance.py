"""Salient relevance: areas that stand out of a relevance map, instead of isolated pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.explainers._context import context_aware
from regard.explainers._relevance import Rule, relevance
from regard.layout import Grid
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="salient-relevance",
    claim="0 of a constant relevance map, its focus on a single blob; on an object's box not less than the relevance "
    "by the epsilon rule has",
    source="sections 3.2 and 3.3: layer-wise relevance, then context-aware saliency of it",
    needs={"score"},
    differs="the positive relevance, on a small grid; patches are compared within a scale, their middles counting "
    "most; the epsilon rule at the pixels too. Of relevance by the zplus rule, which has areas already, it keeps the "
    "peak and loses energy",
    unit="share of the most distinct",
)
def salient_relevance(
    x: Tensor, score: Scorer, *, side: int = 40, rule: Rule = "epsilon", epsilon: float = 1e-6
) -> MapValues:
    """How much the relevance around a place stands out from that anywhere else, 0 .. 1.

    Relevance as `lrp` has it, its positive part averaged over `side` cells along the shorter side; then S = 1 -
    exp(-mean over the 64 most similar 7 x 7 patches of d_value / (1 + 3 d_place)) at four scales, each brought to 0 ..
    1, averaged, and lowered with the distance to the next place above 0.8. Gives `[B, h, w]` on that grid. The patent
    notice of `lrp` holds here.

    Raises LayoutError for an input that is no picture and for a side below 8 cells, CallError as `lrp`.
    Source: Li, Tian, Mueller and Chen 2017, "Beyond saliency"; Goferman, Zelnik-Manor and Tal 2012, "Context-Aware
    Saliency Detection".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_resnet")
    >>> small = partial(rg.explainers.salient_relevance, side=10)
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method=small, target=7).grid
    Grid(h=10, w=10, prefix=0)
    """
    if x.ndim != 4 or not 8 <= side <= min(x.shape[2:]):
        raise LayoutError(
            f"{side} cells on an input {list(x.shape)}", hint="pictures [B, C, H, W]; side=40, at least 8"
        )
    height, width = x.shape[2:]
    shorter = min(height, width)
    grid = Grid(round(side * height / shorter), round(side * width / shorter))
    found = relevance(score, x, rule, epsilon).sum(1, keepdim=True).clamp_min(0)
    pooled = F.adaptive_avg_pool2d(found, (grid.h, grid.w))[:, 0]
    return MapValues(torch.stack([context_aware(one) for one in pooled]), grid)
