"""Chosen rows: where a few queries (CLS, say) look."""

from __future__ import annotations

from torch import Tensor

from regard.core.call import Rows, Summed
from regard.probes._shared import check_indices
from regard.registry import method


@method(
    "probes",
    paper="dino",
    claim="equals the rows of an explicit softmax(q k^T)",
    source="section 4.2.2: self-attention of the [CLS] token",
    needs={"rows"},
    differs="any queries, not only CLS",
    unit="share of attention",
)
def row(
    rows: Rows, total: Tensor | None = None, *, queries: tuple[int, ...] | None = (0,),
    heads: tuple[int, ...] | None = None,
) -> Summed:  # fmt: skip
    """Attention rows of chosen queries, of all heads or of some.

    p_qj for q in `queries`; query 0 is CLS where a model has one, None is all of them. heads: None is all of them.
    Gives [B, heads, queries, K]; the whole matrices of one head are `queries=None, heads=(2,)`.

    Raises CallError if a query or head does not exist. Source: Caron et al. 2021, "Emerging Properties in
    Self-Supervised Vision Transformers", section 4.2.2.

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> s = torch.zeros(1, 1, 3, 4)
    >>> rg.probes.row(Rows(start=0, logits=s, probs=s.softmax(-1), queries=3), queries=(2,)).shape
    torch.Size([1, 1, 1, 4])
    """
    probs = rows.probs
    check_indices("query", queries or (), rows.queries)
    check_indices("head", heads or (), probs.shape[1])
    if heads is not None:
        probs = probs[:, list(heads)]
    wanted = range(rows.queries) if queries is None else queries
    picked = probs.new_zeros(*probs.shape[:2], len(wanted), probs.shape[-1]) if total is None else total
    if queries is None:
        picked[:, :, rows.start : rows.stop] = probs
        return picked
    for at, query in enumerate(wanted):
        if rows.start <= query < rows.stop:
            picked[:, :, at] = probs[:, :, query - rows.start]
    return picked
