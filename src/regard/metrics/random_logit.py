"""Random logit: does the map of another class look otherwise?"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.metrics._alike import Measure, alike
from regard.registry import method
from regard.subjects.evidence import Again
from regard.subjects.forward import Forward
from regard.subjects.values import ScoreValues, of_maps


@method(
    "metrics",
    paper="random-logit",
    claim="1 for a map that ignores the class, below it where it does not",
    source="section 4.2: random logit test",
    needs={"again", "forward"},
    differs="rank correlation of signed values by default instead of SSIM; several other classes instead of one",
    unit="similarity",
)
def random_logit(
    maps: Float[Tensor, "n h w"],
    again: Again,
    forward: Forward,
    generator: torch.Generator,
    *,
    classes: int = 5,
    measure: Measure = "rank",
) -> ScoreValues:
    """Mean similarity of the map with those of `classes` other classes, drawn at random; lower is better.

    se: over the classes. The null: similarity of the map with its own values in random places: a map of its class
    alone comes near to that. Raises LayoutError where no class is left.

    Source: Sixt, Granz and Landgraf 2020, "When Explanations Lie", section 4.2.

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> -1 <= rg.score(m, model, x, metric="random_logit").value <= 1
    True
    """
    count = forward.logits.shape[1]
    own = set(forward.target.index)
    drawn = [c for c in torch.randperm(count, generator=generator).tolist() if c not in own][:classes]
    if not drawn or classes < 1:
        raise LayoutError(f"{classes} other classes of {count}", hint="a model with two classes or more; classes=5")
    others = torch.stack([again(target=c) for c in drawn])
    found = alike(maps[0], others, measure)
    values = torch.cat([found.mean()[None], alike(maps[0], maps[1:], measure)]) if len(maps) > 1 else found.mean()[None]
    se = float(found.std() / len(found) ** 0.5) if len(found) > 1 else None
    return of_maps(values, f"{len(drawn)} other classes, {measure} similarity", higher_is_better=False, se=se)
