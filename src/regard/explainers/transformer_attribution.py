"""Transformer attribution: relevance pushed through all layers by attention times its gradient."""

from __future__ import annotations

from functools import partial

from regard.registry import cards, method
from regard.subjects.rows import last_on_grid, query_of
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="chefer-generic",
    claim="the query's row of the explicit product of I + mean_h (grad A * A)+ over the layers",
    source="equations 5 and 6: the rule for self-attention",
    needs={"score"},
    differs="only the wanted row is kept, as backward visits the layers: O(N) memory, not O(N^2). The same authors' "
    "earlier rule (CVPR 2021) is attention_relevance; streams that look at each other are bimodal_attribution's",
    unit="relevance",
)
def transformer_attribution(score: Scorer, *, query: int | None = None) -> MapValues:
    """Relevance of every patch for the score, through all self-attention layers, in one backward.

    r <- r + r mean_h max(0, A_h dy/dA_h), from the last layer to the first, r starting as the unit row of `query`
    (None: CLS, which the model must have). Gives `[B, h, w]`. Our r: a row of R in the paper.

    Raises CallError where attention is not self-attention of one length.
    Source: Chefer, Gur and Wolf 2021, "Generic Attention-model Explainability".

    >>> import regard as rg
    >>> model = rg.model("random:test_vit")
    >>> x = rg.image("sample:coffee", like=model)
    >>> rg.explain(model, x, method="transformer_attribution", target=7).values.shape
    (1, 20, 30)
    """
    relevance = cards("probes")["relevance"].function
    record = score.watch({"relevance": partial(relevance, query=query or 0)})
    last = last_on_grid(record, -1)
    assert last.grid is not None
    query_of(last.grid, query)
    first = record.readings[0]
    return MapValues(last.grid.to_map(first["relevance"].mean(1)), last.grid, site=f"{first.address} .. {last.address}")
