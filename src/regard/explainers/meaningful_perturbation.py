"""Meaningful perturbation: the smallest smooth mask whose removal takes the score away."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from regard.explainers._masks import Share, check_weights, enlarged, learn, roughness, small_grid
from regard.explainers._pixels import Baseline, on_pixels
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="meaningful-perturbation",
    claim="finds planted evidence; its mask lowers the score more than masks of equal area elsewhere",
    source="section 4, equations 3 to 5",
    needs={"score"},
    differs="the score is scaled to 1 for the picture and 0 for its baseline instead of a probability, so that area=1 "
    "is the cost of an even share; noise on the mask instead of jitter; roughness of the small mask",
    unit="share removed",
)
def meaningful_perturbation(
    x: Tensor, score: Scorer, generator: torch.Generator, *, game: Literal["delete", "preserve"] = "delete",
    steps: int = 300, side: int = 28, area: float = 1.0, smooth: float = 0.2, noise: float = 0.2,
    baseline: Baseline = "blur",
) -> MapValues:  # fmt: skip
    """How much of each pixel a learnt mask takes away to lower the score, or keeps to hold it.

    delete: min_m y'(m x + (1 - m) b) + area mean(1 - m) + smooth TV_3(m), and the map is 1 - m; preserve: min_m
    -y' + area mean(m) + smooth TV_3(m), and the map is m. m in 0 .. 1 is small (`side` along the shorter side) and
    enlarged bilinearly, with normal noise of standard deviation `noise` in each of `steps` steps of Adam (rate 0.1);
    y' = (y - y(b)) / (y(x) - y(b)). A pixel goes if it carries more than `area` times its even share. Our area and
    smooth: lambda_1 and lambda_2 in the paper. Gives `[B, H, W]`.

    Raises DegenerateError where the baseline scores as high as the picture, LayoutError for options without a sense.
    Source: Fong and Vedaldi 2017, "Interpretable Explanations of Black Boxes by Meaningful Perturbation".

    >>> import regard as rg, torch
    >>> from functools import partial
    >>> short = partial(rg.explainers.meaningful_perturbation, steps=3, side=4, baseline="black")
    >>> model = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten())
    >>> x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> rg.explain(model, x, method=short, target=0).values.shape
    (1, 8, 8)
    """
    check_weights((("area", area), ("smooth", smooth), ("noise", noise)))
    replaced = score.baseline(baseline, generator)
    share = Share(score, replaced)
    deleting = game == "delete"

    def loss(mask: Tensor, _: int) -> Tensor:
        drawn = torch.randn((1, 1, *x.shape[2:]), generator=generator, dtype=torch.float64).to(x)
        large = (enlarged(mask, x) + noise * drawn).clamp(0, 1)
        told = share(replaced + large * (x - replaced))
        cost = (1 - mask if deleting else mask).mean((1, 2))
        return (told if deleting else -told) + area * cost + smooth * roughness(mask, 3.0)

    start = x.new_ones(len(x), *small_grid(x, side)) * (1.0 if deleting else 0.5)
    learnt = enlarged(learn(start, loss, score, steps=steps, rate=0.1), x)
    return on_pixels(1 - learnt if deleting else learnt)
