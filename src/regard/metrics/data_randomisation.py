"""Data randomisation: does a map change when the model is trained on labels that mean nothing?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.errors import LayoutError
from regard.metrics._alike import Measure, alike
from regard.registry import method
from regard.subjects.evidence import Again
from regard.subjects.values import ScoreValues, of_maps


@method(
    "metrics",
    paper="sanity-checks",
    claim="1 for a map that does not look at what was learnt, below it where it does",
    source="section 4: data randomisation test",
    needs={"again"},
    differs="several trainings instead of one, with their standard error; rank correlation of signed values by default",
    unit="similarity",
)
def data_randomisation(
    maps: Float[Tensor, "n h w"],
    again: Again,
    *,
    train: Callable[[int], nn.Module] | None = None,
    seeds: int = 3,
    measure: Measure = "rank",
) -> ScoreValues:
    """Mean similarity of the map with those of models that were trained on permuted labels; lower passes.

    train(seed): a model of the same kind trained with labels in an order drawn by that seed, in evaluation mode; how
    it is trained is yours to say. se: over seeds. The null: similarity of the map with its own values in random places.

    Raises LayoutError without a training function or for no seed.
    Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps", section 4.

    >>> import regard as rg
    >>> from functools import partial
    >>> from regard.testing.planted import PlantedCNN, planted_pictures
    >>> x = planted_pictures([(2, 5)])
    >>> m = rg.explain(PlantedCNN(), x, method="gradcam", target=1)
    >>> same = partial(rg.metrics.data_randomisation, train=lambda seed: PlantedCNN(), seeds=1)
    >>> round(rg.score(m, PlantedCNN(), x, metric=same).value, 6)
    1.0
    """
    if train is None or seeds < 1:
        raise LayoutError(
            f"no training to repeat, {seeds} seeds" if train is None else f"{seeds} trainings",
            hint="functools.partial(regard.metrics.data_randomisation, train=lambda seed: model, seeds=3)",
        )
    others = torch.stack([again(model=train(seed)) for seed in range(seeds)])
    found = alike(maps[0], others, measure)
    values = torch.cat([found.mean()[None], alike(maps[0], maps[1:], measure)]) if len(maps) > 1 else found.mean()[None]
    se = float(found.std() / seeds**0.5) if seeds > 1 else None
    return of_maps(values, f"{seeds} trainings, {measure} similarity", higher_is_better=False, se=se)
