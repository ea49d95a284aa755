"""LIME: a weighted ridge regression on segments of the picture."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.registry import method
from regard.subjects.cells import segment_cells
from regard.subjects.designs import bernoulli
from regard.subjects.removal import Baseline, Removal
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="lime",
    claim="equals scikit-learn's weighted ridge regression on the same masks; no weight where a score is constant",
    source="section 3.4: sparse linear explanations; the kernel of the authors' package",
    needs={"score"},
    differs="logits instead of probabilities; SLIC segments; all segments are kept in the regression",
    unit="logit",
)
def lime(
    x: Tensor, score: Scorer, generator: torch.Generator, *, forwards: int = 1000, segments: int = 50,
    kernel_width: float = 0.25, ridge: float = 1.0, baseline: Baseline = "mean",
) -> MapValues:  # fmt: skip
    """Coefficients of a linear model of the score near the picture, one for each segment.

    min_w sum_k pi_k (y(z_k) - w z_k - w_0)^2 + ridge |w|^2 over random subsets z of segments, with
    pi = exp(-d^2 / kernel_width^2) and d = 1 - cos(z, 1) = 1 - sqrt(share of segments that stay). Gives `[B, H, W]`;
    segments are SLIC's, so pictures of a batch have their own.

    Raises LayoutError for options without a sense. Source: Ribeiro, Singh and Guestrin 2016, "Why Should I Trust You?".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_vit")
    >>> few = partial(rg.explainers.lime, forwards=16, segments=6)
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method=few, target=7).values.shape
    (1, 320, 480)
    """
    if forwards < 3 or kernel_width <= 0 or ridge < 0:
        raise LayoutError(
            f"{forwards} masks, kernel width {kernel_width}, ridge {ridge}",
            hint="forwards=1000, kernel_width=0.25, ridge=1 are the authors'",
        )
    pieces = segment_cells(x, segments)
    seed = int(torch.randint(2**62, (), generator=generator))
    keep = torch.ones(forwards, len(x), pieces.count, dtype=torch.bool)
    for at, count in enumerate(pieces.present):  # a picture's masks do not depend on the others of its batch
        keep[:, at, :count] = bernoulli(forwards, count, torch.Generator().manual_seed(seed))
    scores = Removal(score, pieces, baseline, generator)(keep)
    values = torch.zeros(len(x), pieces.count, dtype=torch.float64)
    for at, count in enumerate(pieces.present):
        values[at, :count] = _ridge(keep[:, at, :count].double(), scores[:, at], kernel_width, ridge)
    return MapValues(pieces.to_map(values.to(x.device)), pieces.on)


def _ridge(z: Tensor, y: Tensor, kernel_width: float, ridge: float) -> Tensor:
    distance = 1 - z.mean(1).sqrt()
    weight = torch.exp(-distance.square() / kernel_width**2)
    weight = weight / weight.sum() * len(weight)
    centre = z - (weight[:, None] * z).sum(0) / len(weight)
    target = y - (weight * y).sum() / len(weight)
    gram = centre.T @ (weight[:, None] * centre) + ridge * torch.eye(z.shape[1], dtype=torch.float64)
    return torch.linalg.lstsq(gram, (centre.T @ (weight * target))[:, None]).solution[:, 0]
