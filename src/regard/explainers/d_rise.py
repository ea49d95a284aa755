"""D-RISE: RISE for one object that a detector found."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import MethodError
from regard.explainers._pixels import Baseline
from regard.explainers.rise import rise
from regard.registry import method
from regard.subjects.detection import Detection
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="d-rise",
    claim="equals the weighted sum over the same masks of the best IoU x cosine x objectness",
    source="section 3.2, equations 3 to 6",
    needs={"score"},
    differs="each pixel's sum is divided by its own masks, and the mean weight is taken off",
    unit="similarity",
)
def d_rise(
    x: Tensor, score: Scorer, generator: torch.Generator, *, forwards: int = 5000, cells: int = 16, p: float = 0.5,
    baseline: Baseline = "black",
) -> MapValues:  # fmt: skip
    """Mean similarity with a detection of what is found in pictures in which a pixel is seen, less the mean of all.

    S_u = sum_k s_k m_k(u) / sum_k m_k(u) - mean_k s_k, s_k = max over found d of IoU * cosine of class probabilities *
    objectness, 0 where nothing is found; the target is a `regard.subjects.detection.Detection`, which says what a
    detector gives. Lower the detector's own score threshold, and raise its limit on overlap, so that weak boxes are
    seen. A detector that gives labels alone has cosine 1 or 0. Gives `[B, H, W]`.

    Raises MethodError for another target, LayoutError for options without a sense.
    Source: Petsiuk et al. 2021, "Black-box Explanation of Object Detectors via Saliency Maps".

    >>> import regard as rg, torch
    >>> from functools import partial
    >>> from regard.subjects.detection import Detection
    >>> class Whole(torch.nn.Module):
    ...     def forward(self, x):
    ...         box = torch.tensor([[0.0, 0.0, x.shape[3], x.shape[2]]])
    ...         return [{"boxes": box, "probabilities": torch.eye(2)[:1], "objectness": one.mean()[None]} for one in x]
    >>> x = torch.rand(1, 3, 32, 32)
    >>> one = Detection.of(Whole()(x))
    >>> few = partial(rg.explainers.d_rise, forwards=8)
    >>> rg.explain(Whole(), x, method=few, target=one).target
    'class 0 in 0,0..32,32'
    """
    if not isinstance(score.target.score, Detection) and not score.target.index:
        raise MethodError(
            f"the target '{score.target.label}' is no detection", hint="target=Detection.of(model(x), 0), or rise"
        )
    return rise(x, score, generator, forwards=forwards, cells=cells, p=p, baseline=baseline)
