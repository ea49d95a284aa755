"""LRP: the score handed back layer by layer, in the shares in which inputs made it up."""

from __future__ import annotations

from torch import Tensor

from regard.explainers._pixels import on_pixels
from regard.explainers._relevance import Rule, relevance
from regard.registry import method
from regard.subjects.paths import completeness_gap
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="lrp",
    claim="conserves the score in networks without biases, ViTs among them; equals Zennit under the same rules",
    source="equations 58 to 62 (epsilon and alpha-beta rules); for attention the CP rule of Ali et al. 2022",
    needs={"score"},
    differs="relevance over input goes backward instead of relevance, so that sums and poolings need no rule; batch "
    "normalisation is one layer with the convolution before it; biases keep their share, which shows in the gap",
    unit="logit",
)
def lrp(x: Tensor, score: Scorer, *, rule: Rule = "zplus", epsilon: float = 1e-6) -> MapValues:
    """Relevance of every pixel, summed over channels: how much of the score is made out of it.

    z_j = sum_i w_ji x_i + b_j hands R_j back. epsilon: R_i = sum_j w_ji x_i R_j / (z_j + epsilon sign z_j). zplus, for
    convolutions alone: only contributions above 0 count, R_i = sum_j (w_ji x_i)+ R_j / sum_k (w_jk x_k)+. Non-linear
    functions hand all on; a sum or mean shares out by size; attention weights and the spread in a layer normalisation
    are held fixed. The gap is |sum R - y| / |y|: what biases keep, and units that nothing but a bias drives. One
    forward, one backward; gives `[B, H, W]`. Layer-wise relevance propagation is patented: see to your rights
    before commercial use.

    Raises CallError for a layer that has no rule and for options without a sense.
    Source: Bach et al. 2015, "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance
    Propagation"; Ali et al. 2022, "XAI for Transformers: Better Explanations through Conservative Propagation".

    >>> import regard as rg
    >>> model = rg.model("random:test_resnet")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="lrp", target=7).values.shape
    (1, 160, 160)
    """
    made = relevance(score, x, rule, epsilon)
    return on_pixels(made, gap=completeness_gap(made, score.value))
