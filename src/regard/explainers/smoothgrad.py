"""SmoothGrad: the gradient, averaged over noisy copies of the picture."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.explainers._moments import moments
from regard.explainers._pixels import Channels, on_pixels, over_channels
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="smoothgrad",
    claim="the mean of explicit gradients at the same noisy copies; tends to the gradient of a quadratic score",
    source="section 3: SmoothGrad",
    needs={"score"},
    differs="all pictures of a batch get the same draws, each scaled to its own range",
    unit="logit per unit of input",
)
def smoothgrad(
    x: Tensor, score: Scorer, generator: torch.Generator, *, samples: int = 50, noise: float = 0.15,
    channels: Channels = "max_abs",
) -> MapValues:  # fmt: skip
    """Mean gradient under normal noise.

    g = 1/n sum_k dy/dx (x + e_k), e_k ~ N(0, (noise (max x - min x))^2); then the largest |g| over the channels, or
    their signed sum. Gives `[B, H, W]`; se is the standard error of the mean (of the channel that is largest; of a
    sum, with the channels taken as independent).

    Source: Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_resnet")
    >>> few = partial(rg.explainers.smoothgrad, samples=4)
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method=few, target=7).se.shape
    (1, 160, 160)
    """
    found = moments(score, x, generator, samples, noise)
    variance = found.deviations / (samples - 1) / samples
    if channels == "sum":
        se = variance.sum(1).sqrt()
    else:
        se = variance.gather(1, found.mean.abs().argmax(1, keepdim=True))[:, 0].sqrt()
    return on_pixels(over_channels(found.mean, channels), se=se)
