"""Chosen rows: where a few queries (CLS, say) look."""

from __future__ import annotations

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
def row(rows: Rows, *, queries: tuple[int, ...] = (0,)) -> Summed:
    """Attention rows of chosen queries.

    p_qj for q in `queries`; query 0 is CLS where a model has one. Gives [B, H, len(queries), K].

    Raises CallError if a query does not exist. Source: Caron et al. 2021, "Emerging Properties in
    Self-Supervised Vision Transformers", section 4.2.2.

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> s = torch.zeros(1, 1, 3, 4)
    >>> rg.probes.row(Rows(start=0, logits=s, probs=s.softmax(-1), queries=3), queries=(2,)).shape
    torch.Size([1, 1, 1, 4])
    """
    check_indices("query", queries, rows.queries)
    picked = rows.probs.new_zeros(*rows.probs.shape[:2], len(queries), rows.probs.shape[-1])
    for at, query in enumerate(queries):
        if rows.start <= query < rows.stop:
            picked[:, :, at] = rows.probs[:, :, query - rows.start]
    return picked
