"""VarGrad: how much the gradient varies over noisy copies of the picture."""

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
    claim="the variance of explicit gradients at the same noisy copies",
    source="section 3: VarGrad",
    needs={"score"},
    differs="summed over channels; divided by n, as the identity with SmoothGrad-squared asks",
    unit="(logit per unit of input)^2",
)
def vargrad(
    x: Tensor, score: Scorer, generator: torch.Generator, *, samples: int = 50, noise: float = 0.15
) -> MapValues:
    """Variance of the gradient under normal noise, summed over channels.

    v = sum_c 1/n sum_k (g_k - mean g)^2 with g_k = dy/dx (x + e_k), e_k as in SmoothGrad. Gives `[B, H, W]`.

    Source: Hooker et al. 2019, "A Benchmark for Interpretability Methods in Deep Neural Networks"; Adebayo et al.
    2018, "Local Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter Values".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_resnet")
    >>> few = partial(rg.explainers.vargrad, samples=4)
    >>> bool((rg.explain(model, rg.image("sample:coffee", like=model), method=few, target=7).values >= 0).all())
    True
    """
    found = moments(score, x, generator, samples, noise)
    return on_pixels(found.deviations / samples)
