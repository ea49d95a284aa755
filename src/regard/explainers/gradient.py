"""Gradient: which pixels the score is most sensitive to."""

from __future__ import annotations

from torch import Tensor

from regard.explainers._pixels import Channels, on_pixels, over_channels
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="vanilla-gradient",
    claim="the absolute weights of a linear model, exactly",
    source="section 3: image-specific class saliency visualisation",
    needs={"score"},
    differs="none",
    unit="logit per unit of input",
)
def gradient(x: Tensor, score: Scorer, *, channels: Channels = "max_abs") -> MapValues:
    """Size of the score's gradient at each pixel.

    S_ij = max_c |dy / dx_cij|, or the signed sum over channels. y is the target's logit (S_c in the paper). Gives
    `[B, H, W]`. Raises DegenerateError for a zero or NaN gradient, CallError for a model that has none.

    Source: Simonyan, Vedaldi and Zisserman 2014, "Deep Inside Convolutional Networks", section 3.

    >>> import regard as rg
    >>> model = rg.model("random:test_resnet")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="gradient", target=7).values.shape
    (1, 160, 160)
    """
    return on_pixels(over_channels(score.gradient(), channels))
