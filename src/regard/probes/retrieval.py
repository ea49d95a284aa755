"""Retrieval: how often a head looks first at where the answer lies."""

from __future__ import annotations

from regard.core.call import PerHead, Rows
from regard.errors import CallError
from regard.probes._shared import check_indices
from regard.registry import method


@method(
    "probes",
    paper="retrieval-heads",
    claim="1 for a head whose strongest key is the given one for every pair, the share of such pairs otherwise",
    source="retrieval score: copied needle tokens at the arg-max of attention, over all needle tokens",
    needs={"rows"},
    differs="which query should find which key is given, where the paper reads it off the generated tokens",
    unit="share of pairs",
)
def retrieval(rows: Rows, *, pairs: tuple[tuple[int, int], ...] = ((0, 0),)) -> PerHead:
    """Share of (query, key) pairs where the key is the one that the query attends to most.

    s = |{(q, j) in pairs: argmax_k p_qk = j}| / |pairs|. With q the step that writes a token and j the place
    that it should be copied from, this is the retrieval score. Of equal weights none is the largest, so
    uniform attention finds nothing.

    Our p: the attention weights [B, H, Q, K]. Gives [B, H], 0 .. 1. Raises CallError if there are no pairs,
    or a query or key does not exist. Source: Wu et al. 2024, "Retrieval Head Mechanistically Explains
    Long-Context Factuality", section 2.

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> p = torch.tensor([[[[0.9, 0.1], [0.6, 0.4]]]])
    >>> rg.probes.retrieval(Rows(start=0, logits=p.log(), probs=p, queries=2), pairs=((0, 0), (1, 1)))
    tensor([[0.5000]])
    """
    if not pairs:
        raise CallError("no pairs of a query and the key that it should find", hint="pairs=((query, key), ...)")
    check_indices("query", tuple(query for query, _ in pairs), rows.queries)
    check_indices("key", tuple(key for _, key in pairs), rows.probs.shape[-1])
    found = rows.probs.new_zeros(rows.probs.shape[:2])
    for query, key in pairs:
        if rows.start <= query < rows.stop:
            row = rows.probs[:, :, query - rows.start]
            found += (row >= row[..., key, None]).sum(-1) == 1
    return found / len(pairs)
