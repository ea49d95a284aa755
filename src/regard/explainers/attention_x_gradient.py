"""Attention x gradient: which of the keys that one query looks at matter for the score."""

from __future__ import annotations

from functools import partial

from regard.registry import cards, method
from regard.subjects.rows import last_on_grid, query_of
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="lvlms-saliency",
    claim="equals attention times its retained gradient",
    source="token saliency: the mean over heads of |A * dL/dA|",
    needs={"score"},
    differs="one row, of the query that makes the answer (in a decoder the one before it, query=-1: the answer's own "
    "row has no gradient); the score's gradient in the place of the loss's; not scaled to length 1",
    unit="score",
)
def attention_x_gradient(
    score: Scorer, *, layer: int = -1, query: int | None = None, absolute: bool = True
) -> MapValues:
    """Attention of one query times its gradient, in one layer, averaged over heads.

    a_j = mean_h |A_qj dy/dA_qj|, or signed. layer counts the layers on the grid (negative from the end); query None is
    CLS, which the model must have. Gives `[B, h, w]`.

    Source: "Hallucination Begins Where Saliency Drops".

    >>> import regard as rg
    >>> model = rg.model("random:test_vit")
    >>> x = rg.image("sample:coffee", like=model)
    >>> rg.explain(model, x, method="attention_x_gradient", target=7).site
    'blocks.5.attn'
    """
    gradient_row = cards("probes")["gradient_row"].function
    reading = last_on_grid(score.watch({"row": partial(gradient_row, queries=(query or 0,))}), layer)
    assert reading.grid is not None
    query_of(reading.grid, query)
    row = reading["row"][:, :, 0]
    heat = (row.abs() if absolute else row).mean(1)
    return MapValues(reading.grid.to_map(heat), reading.grid, site=reading.address)
