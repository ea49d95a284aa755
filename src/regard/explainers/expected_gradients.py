"""Expected gradients: integrated gradients, averaged over baselines."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.explainers._pixels import Baseline, check_samples, on_pixels
from regard.registry import method
from regard.subjects.paths import completeness_gap
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="expected-gradients",
    claim="tends to integrated gradients for one fixed baseline; sums to y(x) - E y(b) within its standard error",
    source="equation 6; GradientSHAP is its name in SHAP and Captum",
    needs={"score"},
    differs="points on the path are stratified, one in each of `samples` equal parts",
    unit="logit",
)
def expected_gradients(
    x: Tensor, score: Scorer, generator: torch.Generator, *, references: Tensor | None = None,
    baseline: Baseline = "uniform", samples: int = 50,
) -> MapValues:  # fmt: skip
    """Input minus baseline times gradient, averaged over baselines and over points between them and the input.

    a = E_{b, t} [(x - b) * dy/dx (b + t (x - b))], t ~ U(0, 1), b drawn from `references` `[R, C, H, W]`, in turn; if
    none are given, from `baseline` (of which only "uniform" draws anew each time). Gives `[B, H, W]`; se is the
    standard error as if points were not stratified (an upper bound); gap as in integrated gradients.

    Raises LayoutError for references that are no pictures like x.
    Source: Erion et al. 2021, "Improving performance of deep learning models with axiomatic attribution priors and
    expected gradients".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_resnet")
    >>> few = partial(rg.explainers.expected_gradients, samples=4)
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method=few, target=7).values.shape
    (1, 160, 160)
    """
    check_samples(samples, 2)
    if references is not None and references.shape[1:] != x.shape[1:]:
        raise LayoutError(f"references {list(references.shape)} for pictures {list(x.shape)}", hint="[R, C, H, W]")
    if references is None:
        pool = [score.baseline(baseline, generator) for _ in range(samples if baseline == "uniform" else 1)]
    else:
        pool = [one.to(x).expand_as(x) for one in references[:samples]]
    parts = torch.randperm(samples, generator=generator, dtype=torch.float64)
    path = ((parts + torch.rand(samples, generator=generator, dtype=torch.float64)) / samples).tolist()
    starts = [pool[k % len(pool)] for k in range(samples)]
    slopes = score.gradients((b + t * (x - b) for b, t in zip(starts, path, strict=True)), samples)
    mean, deviations = torch.zeros_like(x), torch.zeros_like(x)
    for count, (start, slope) in enumerate(zip(starts, slopes, strict=True), start=1):
        away = (x - start) * slope - mean
        mean = mean + away / count
        deviations = deviations + away.square() * (count - 1) / count
    times = torch.tensor([len(range(i, samples, len(pool))) for i in range(len(pool))]).to(x)
    below = torch.stack([score(start) for start in pool], 1) @ times / samples
    se = (deviations.sum(1) / (samples - 1) / samples).sqrt()
    return on_pixels(mean, se=se if x.ndim == 4 else None, gap=completeness_gap(mean, score.value - below))
