"""Input x gradient: each pixel's share of the score's linear part."""

from __future__ import annotations

from torch import Tensor

from regard.explainers._pixels import on_pixels
from regard.registry import method
from regard.subjects.paths import completeness_gap
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="input-x-gradient",
    claim="sums to the score on a network without biases; there it equals DeepLIFT and integrated gradients from 0",
    source="section 1: gradient times input, as compared there",
    needs={"score"},
    differs="none",
    unit="logit",
)
def input_x_gradient(x: Tensor, score: Scorer) -> MapValues:
    """Input times gradient, summed over channels.

    a_ij = sum_c x_cij dy / dx_cij. Gives `[B, H, W]`; the gap is |sum a - y| / |y|: what biases add to the score.

    Source: Shrikumar, Greenside and Kundaje 2017, "Learning Important Features Through Propagating Activation
    Differences", and the same authors' "Not Just a Black Box" (2016).

    >>> import regard as rg
    >>> model = rg.model("random:test_resnet")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="input_x_gradient", target=7).values.shape
    (1, 160, 160)
    """
    attributed = x * score.gradient()
    return on_pixels(attributed, gap=completeness_gap(attributed, score.value))
