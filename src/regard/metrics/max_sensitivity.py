"""Max-sensitivity: how far a map moves when the picture moves a little."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.registry import method
from regard.subjects.evidence import Again
from regard.subjects.values import ScoreValues, of_maps


@method(
    "metrics",
    paper="infidelity-sensitivity",
    claim="0 for a constant explanation; that of Captum on the same moved pictures",
    source="definition 3.1",
    needs={"again", "x"},
    differs="divided by the size of the map, as Captum does; the radius is a share of the picture's span",
    unit="relative distance",
)
def max_sensitivity(
    maps: Float[Tensor, "n h w"],
    x: Tensor,
    again: Again,
    generator: torch.Generator,
    *,
    radius: float = 0.02,
    samples: int = 10,
) -> ScoreValues:
    """The largest relative change of the map over pictures within `radius`; lower is better.

    SENS = max over |d|_inf <= r of |phi(x + d) - phi(x)| / |phi(x)|, the maximum over `samples` uniform draws: a lower
    bound. radius: r over the picture's span (highest less lowest value). se: spread of the draws over their root. The
    null: the same distance to the map's own values in random places. Raises LayoutError for no sample or no radius.

    Source: Yeh et al. 2019, "On the (In)fidelity and Sensitivity for Explanations", definition 3.1.

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> rg.score(m, model, x, metric="max_sensitivity").value < 1
    True
    """
    if samples < 1 or radius <= 0:
        raise LayoutError(f"{samples} samples within {radius}", hint="samples=10, radius=0.02")
    reach = radius * float(x.amax() - x.amin())
    drawn = (torch.rand((samples, *x.shape), generator=generator, dtype=torch.float64) * 2 - 1) * reach
    own = again().double()  # anew: what is drawn inside of the method is the same for all
    moved = torch.stack([again(x=x + d.to(x)).double() for d in drawn])
    size = own.norm().clamp_min(1e-300)
    far = (moved - own).flatten(1).norm(dim=1) / size
    null = (maps[1:].double() - own).flatten(1).norm(dim=1) / size
    se = float(far.std() / samples**0.5) if samples > 1 else None
    told = f"{samples} pictures within {radius:g} of the span"
    return of_maps(torch.cat([far.max()[None], null]), told, higher_is_better=False, se=se)
