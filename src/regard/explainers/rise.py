"""RISE: random smooth masks, weighted by the score that each leaves."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.explainers._pixels import Baseline, on_pixels
from regard.progress import track
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues

AT_A_TIME = 8


@method(
    "explainers",
    paper="rise",
    claim="equals the explicit weighted sum over the same masks; the authors' estimator by divide='expectation'",
    source="sections 3.1 and 3.2, equation 6",
    needs={"score"},
    differs="the logit instead of the probability; each pixel's sum is divided by its own masks instead of their "
    "expectation, which has less than half the variance; masks are made when they are needed, never stored",
    unit="logit",
)
def rise(
    x: Tensor, score: Scorer, generator: torch.Generator, *, forwards: int = 4000, cells: int = 7, p: float = 0.5,
    baseline: Baseline = "black", divide: Literal["masks", "expectation"] = "masks",
) -> MapValues:  # fmt: skip
    """Mean score of pictures in which a pixel is seen, less the mean score of all masked pictures.

    S_u = sum_k y(x m_k + b (1 - m_k)) m_k(u) / sum_k m_k(u) - mean_k y; divide="expectation": sum_k y m_k(u) / (n p)
    as the authors have it. Masks: cells x cells of 0 and 1 (1 with probability p), enlarged bilinearly by one cell
    and shifted at random. Gives `[B, H, W]`. Memory is that of a few pictures, whatever `forwards`.

    Raises LayoutError for options without a sense.
    Source: Petsiuk, Das and Saenko 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_vit")
    >>> few = partial(rg.explainers.rise, forwards=8)
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method=few, target=7).values.shape
    (1, 320, 480)
    """
    if forwards < 2 or not 1 <= cells <= min(x.shape[2:]) or not 0 < p < 1:
        raise LayoutError(
            f"{forwards} masks of {cells} cells with p = {p}", hint="forwards=4000, cells=7, p=0.5 are the authors'"
        )
    replaced = score.baseline(baseline, generator)
    evidence = x - replaced
    weighted = x.new_zeros(len(x), *x.shape[2:], dtype=torch.float64)
    seen, total = torch.zeros_like(weighted[:1]), weighted.new_zeros(len(x))
    for start in track(range(0, forwards, AT_A_TIME), "random masks"):
        masks = smooth_masks(min(AT_A_TIME, forwards - start), cells, p, x, generator)
        pictures = torch.addcmul(replaced, masks[:, None, None], evidence).flatten(0, 1)
        scores = score(pictures).view(len(masks), len(x)).double()
        masks = masks.double()
        weighted += (scores.T @ masks.flatten(1)).view_as(weighted)
        seen += masks.sum(0)
        total += scores.sum(0)
    if divide == "expectation":
        return on_pixels((weighted / (forwards * p))[:, None].to(x.dtype))
    mean = (total / forwards).view(-1, 1, 1)
    return on_pixels((weighted / seen.clamp_min(1e-9) - mean)[:, None].to(x.dtype))


def smooth_masks(n: int, cells: int, p: float, x: Tensor, generator: torch.Generator) -> Float[Tensor, "n H W"]:
    """Enlarged random grids, shifted by up to a cell; drawn in float64, so that every type gets the same masks."""
    height, width = x.shape[2:]
    step = (-(-height // cells), -(-width // cells))
    small = (torch.rand(n, 1, cells, cells, generator=generator, dtype=torch.float64) < p).double()
    size = ((cells + 1) * step[0], (cells + 1) * step[1])
    large = F.interpolate(small, size=size, mode="bilinear", align_corners=False)[:, 0]
    corners = torch.rand(n, 2, generator=generator, dtype=torch.float64)
    made = []
    for one, (up, left) in zip(large, corners.tolist(), strict=True):
        top, side = int(up * step[0]), int(left * step[1])
        made.append(one[top : top + height, side : side + width])
    return torch.stack(made).to(x)
