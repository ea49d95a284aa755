"""FIDO: the fewest pixels that a generator would have to dream up for the score to fall, or need not for it to hold."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.explainers._infill import Infill, infill_of
from regard.explainers._masks import Share, check_weights, enlarged, learn, small_grid
from regard.explainers._pixels import on_pixels
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues

TEMPERATURE, RATE, START = 0.1, 0.05, 2.0


@method(
    "explainers",
    paper="fido-counterfactual",
    claim="finds planted evidence in both games; with the field's own in-fill a smaller region than with blur",
    source="section 3, equations 2 to 5: smallest sufficient and smallest destroying region; appendix on optimisation",
    needs={"score"},
    differs="the score is scaled to 1 for the picture and 0 for its in-fill instead of log-odds, so that area=1 is the "
    "cost of an even share; cells stay at first with probability 0.88 instead of 0.993, which needs fewer steps",
    unit="probability",
)
def fido(
    x: Tensor, score: Scorer, generator: torch.Generator, *, game: Literal["keep", "drop"] = "drop",
    steps: int = 300, side: int = 28, area: float = 0.5, samples: int = 8, infill: str | Infill = "local",
) -> MapValues:  # fmt: skip
    """The probability that each pixel goes (drop), or stays (keep), where pixels that go are drawn in from the others.

    z ~ concrete(p, 0.1), p in 0 .. 1 on a grid (`side` along the shorter side), enlarged bilinearly;
    phi(z) = z x + (1 - z) infill(x, z > 1/2), no gradient through the in-fill.
    drop (smallest destroying region): min_p E y'(phi(z)) + area mean(1 - p), and the map is 1 - p.
    keep (smallest sufficient region): min_p -E y'(phi(z)) + area mean(p), and the map is p. y' = (y - y(infill)) /
    (y(x) - y(infill)) with all of it drawn in; E over `samples` draws, the same for all pictures; Adam at rate 0.05.
    infill: "local" (mean of the near pixels that stay), a baseline ("blur", "mean", "black", "white", "uniform"), or a
    function of pictures `[n, C, H, W]` and what stays of them `[n, 1, H, W]`, a generative model say. Gives
    `[B, H, W]`. Our p: 1 - theta in the paper, a dropout rate.

    Raises DegenerateError where the in-fill scores as high as the picture, LayoutError for options without a sense.
    Source: Chang et al. 2018, "Explaining Image Classifiers by Counterfactual Generation".

    >>> import regard as rg, torch
    >>> from functools import partial
    >>> short = partial(rg.explainers.fido, steps=3, side=4, infill="black")
    >>> model = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten())
    >>> x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> rg.explain(model, x, method=short, target=0).values.shape
    (1, 8, 8)
    """
    check_weights((("area", area),))
    if samples < 1:
        raise LayoutError(f"{samples} samples a step", hint="samples=8 are the authors'")
    grid, draw_in = small_grid(x, side), infill_of(infill, score, generator)
    with torch.no_grad():
        share = Share(score, draw_in(x, torch.zeros_like(x[:, :1], dtype=torch.bool)))
    many, sign = x.repeat(samples, 1, 1, 1), 1.0 if game == "drop" else -1.0

    def loss(logit: Tensor, _: int) -> Tensor:
        drawn = torch.rand((samples, 1, *grid), generator=generator, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
        stays = ((logit + drawn.logit().to(x)) / TEMPERATURE).sigmoid()
        large = enlarged(stays.flatten(0, 1), x)
        with torch.no_grad():
            replaced = draw_in(many, large > 0.5)
        told = share(replaced + large * (many - replaced)).view(samples, -1).mean(0)
        p = logit.sigmoid().mean((1, 2))
        return sign * told + area * ((1 - p) if game == "drop" else p)

    learnt = learn(x.new_full((len(x), *grid), START), loss, score, steps=steps, rate=RATE, clamp=False)
    return on_pixels(enlarged((-sign * learnt).sigmoid(), x))
