"""Banzhaf values: what each cell adds on average over the presence of all others."""

from __future__ import annotations

from time import monotonic

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.explainers._surrogate import main_effects
from regard.registry import method
from regard.subjects.cells import grid_cells
from regard.subjects.designs import hadamard, whole_design
from regard.subjects.removal import Baseline, Removal
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="banzhaf",
    claim="exact for additive scores in one design; the exhaustive Banzhaf value for a few cells; fewer forwards than "
    "random masks at equal error",
    source="theorem 3: the Banzhaf index is the best linear approximation",
    needs={"score"},
    differs="estimated by least squares on rows of Hadamard matrices and their complements, instead of all subsets",
    unit="logit",
)
def banzhaf(
    x: Tensor, score: Scorer, generator: torch.Generator, *, cells: int = 7, baseline: Baseline = "blur",
    forwards: int | None = None, se: float | None = None, seconds: float | None = None,
) -> MapValues:  # fmt: skip
    """Banzhaf value of each cell of a grid, with its standard error, out of few structured masks.

    b_i = mean over subsets S without i of y(S + i) - y(S), which is the least-squares fit of y by a sum over cells.
    Masks are rows of Hadamard matrices with random columns and signs, and their complements: main effects then are
    free of each other and of all two-cell interactions. forwards: masked pictures at most, in pairs; None: one whole
    design (120 for 7 x 7 cells). se: more designs are added until the mean standard error is below this share of the
    map's range. seconds: no design is begun after so long (one always runs). Whichever comes first. Gives `[B, h, w]`
    on the grid of cells, se in `Map.se`. cells, baseline: as in `occlusion`.

    Raises LayoutError for forwards below 4, se or seconds without a sense. Source: Hammer and Holzman 1992,
    "Approximations of pseudo-Boolean functions; applications to game theory", theorem 3; Plackett and Burman 1946 for
    the design.

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_vit")
    >>> few = partial(rg.explainers.banzhaf, cells=2)
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method=few, target=7).forwards
    17
    """
    pieces = grid_cells(x, cells)
    if se is not None and not 0 < se < 1:
        raise LayoutError(f"a standard error of {se} of the range", hint="between 0 and 1: se=0.05")
    if seconds is not None and seconds <= 0:
        raise LayoutError(f"a budget of {seconds} seconds", hint="seconds=10")
    start, whole = monotonic(), whole_design(pieces.count)
    most = whole if se is None and seconds is None else 64 * whole
    limit = most if forwards is None else forwards // 2 * 2
    removal = Removal(score, pieces, baseline, generator)
    keep = torch.zeros(0, pieces.count, dtype=torch.bool)
    scores = torch.zeros(0, len(x), dtype=torch.float64)
    while len(keep) < limit:
        more = hadamard(min(whole, limit - len(keep)), pieces.count, generator)
        keep, scores = torch.cat([keep, more]), torch.cat([scores, removal(more)])
        values, error = main_effects(keep, scores)
        span = values.amax(1) - values.amin(1)
        if se is not None and bool((error.mean(1) <= se * span).all()):
            break
        if seconds is not None and monotonic() - start >= seconds:
            break
    return MapValues(pieces.to_map(values), pieces.on, se=pieces.to_map(error))
