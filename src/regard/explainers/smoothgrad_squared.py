"""SmoothGrad squared: the mean square of the gradient over noisy copies of the picture."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.explainers._moments import moments
from regard.explainers._pixels import on_pixels
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="vargrad",
    claim="equals VarGrad plus the square of SmoothGrad, channel by channel",
    source="section 3: SmoothGrad-squared",
    needs={"score"},
    differs="summed over channels",
    unit="(logit per unit of input)^2",
)
def smoothgrad_squared(
    x: Tensor, score: Scorer, generator: torch.Generator, *, samples: int = 50, noise: float = 0.15
) -> MapValues:
    """Mean square of the gradient under normal noise, summed over channels.

    s = sum_c 1/n sum_k (dy/dx (x + e_k))^2, e_k as in SmoothGrad. Gives `[B, H, W]`.

    Source: Hooker et al. 2019, "A Benchmark for Interpretability Methods in Deep Neural Networks".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_resnet")
    >>> few = partial(rg.explainers.smoothgrad_squared, samples=4)
    >>> bool((rg.explain(model, rg.image("sample:coffee", like=model), method=few, target=7).values >= 0).all())
    True
    """
    found = moments(score, x, generator, samples, noise)
    return on_pixels(found.mean.square() + found.deviations / samples)
