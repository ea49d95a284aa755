"""DeepLIFT: the difference to a baseline, carried back through finite differences of each non-linearity."""

from __future__ import annotations

from torch import Tensor

from regard.explainers._pixels import Baseline, on_pixels
from regard.explainers._rescale import rescaled
from regard.registry import method
from regard.subjects.paths import completeness_gap
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="deeplift",
    claim="sums to y(x) - y(b) on networks of linear layers, element-wise non-linearities and max pooling",
    source="section 3.5.2: the rescale rule; max pooling as element-wise maxima",
    needs={"score"},
    differs="functions are met where torch calls them, so reused, in-place and module-less ones count; the rest "
    "(normalisation over tokens, softmax, gates) is passed by its gradient and shows in the gap",
    unit="logit",
)
def deeplift(x: Tensor, score: Scorer, *, baseline: Baseline = "black") -> MapValues:
    """Input minus baseline, times multipliers that are finite differences where the gradient would be local.

    m = (phi(z) - phi(z_b)) / (z - z_b) for an element-wise phi, its derivative where |z - z_b| < 1e-10; a = sum_c
    (x - b) m. One forward of picture and baseline together, one backward. The gap is |sum a - (y(x) - y(b))| /
    |y(x) - y(b)|. Gives `[B, H, W]`.

    Source: Shrikumar, Greenside and Kundaje 2017, "Learning Important Features Through Propagating Activation
    Differences".

    >>> import regard as rg
    >>> model = rg.model("random:test_resnet")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="deeplift", target=7).gap < 1e-3
    True
    """
    start = score.baseline(baseline)
    attributed = (x - start) * rescaled(score, x, start)
    return on_pixels(attributed, gap=completeness_gap(attributed, score.value - score(start)))
