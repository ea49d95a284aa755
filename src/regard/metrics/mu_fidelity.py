"""Mu-fidelity: does a map's mass in random subsets of one size go with what the score loses without them?"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.metrics._correlation import correlation_error, correlations
from regard.registry import method
from regard.subjects.masks import MaskBank
from regard.subjects.values import ScoreValues, of_maps


@method(
    "metrics",
    paper="mu-fidelity",
    claim="1 for a linear score's own contributions, -1 for their negative",
    source="section 3.1: faithfulness",
    needs={"masks"},
    differs="subsets of the cells of a mask bank; the size nearest to `share` that the bank holds",
    unit="correlation",
)
def mu_fidelity(maps: Float[Tensor, "n h w"], masks: MaskBank, *, share: float = 0.25) -> ScoreValues:
    """Correlation, over random subsets S of one size, of the map's sum over S and the loss of score without S.

    mu_F = corr_S(sum of phi over S, f(x) - f(x without S)); our `share` is the paper's |S| / d. Higher is better.
    The null: the map's own values in random places, on the same subsets. Raises LayoutError for a share outside 0..1.

    Source: Bhatt, Weller and Moura 2020, "Evaluating and Aggregating Feature-based Model Explanations".

    >>> import regard as rg
    >>> model = rg.model("random:resnet18")
    >>> x = rg.image("sample:coffee", like=model)
    >>> m = rg.explain(model, x, method="gradcam", target=7)
    >>> -1 <= rg.score(m, model, x, metric="mu_fidelity", bank=rg.masks(model, x, m, rounds=2, each=4)).value <= 1
    True
    """
    if not 0 < share < 1:
        raise LayoutError(f"subsets of {share} of the cells", hint="share between 0 and 1; 0.25 is usual")
    sizes = masks.gone.sum(1)
    size = sizes[(sizes / masks.cells.count - share).abs().argmin()]
    at = sizes == size
    values = correlations(masks.gone[at] @ masks.laid(maps).T, masks.drops[at])
    count = int(at.sum())
    se = float(correlation_error(values[0], count))
    told = f"{count} subsets of {int(size)} of {masks.cells.count} cells, {masks.draw.baseline} baseline"
    return of_maps(values, told, higher_is_better=True, se=se)
