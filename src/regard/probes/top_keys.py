"""Top keys: what a few queries look at most."""

from __future__ import annotations

import torch

from regard.core.call import Rows, Summed
from regard.errors import CallError
from regard.probes._shared import check_indices
from regard.registry import method


@method(
    "probes",
    paper="clark-heads",
    claim="equals sorting the rows of an explicit softmax(q k^T)",
    source="section 4: the most-attended-to word of each head",
    needs={"rows"},
    differs="the first few keys instead of one; chosen queries",
    unit="key, share of attention",
)
def top_keys(rows: Rows, *, queries: tuple[int, ...] = (0,), k: int = 5) -> Summed:
    """The `k` keys with most attention from chosen queries, and their weights; the strongest first.

    Gives [B, H, len(queries), k, 2]: the key's number (a whole float; prefix tokens count) and p_qj, for q
    in `queries`. Of equal weights the earlier key comes first.

    Our p: the attention weights [B, H, Q, K]. Raises CallError if a query does not exist or there are fewer
    than `k` keys. Source: Clark et al. 2019, "What Does BERT Look At?", section 4.

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> p = torch.tensor([[[[0.25, 0.0, 0.75]]]])
    >>> rg.probes.top_keys(Rows(start=0, logits=p.log(), probs=p, queries=1, masked=True), k=2)
    tensor([[[[[2.0000, 0.7500],
               [0.0000, 0.2500]]]]])
    """
    check_indices("query", queries, rows.queries)
    keys = rows.probs.shape[-1]
    if not 1 <= k <= keys:
        raise CallError(f"the first {k} keys: the call has {keys}", hint=f"a k of 1 .. {keys}")
    picked = rows.probs.new_zeros(*rows.probs.shape[:2], len(queries), k, 2)
    for at, query in enumerate(queries):
        if rows.start <= query < rows.stop:
            weights, which = rows.probs[:, :, query - rows.start].sort(stable=True, dim=-1, descending=True)
            picked[:, :, at] = torch.stack([which[..., :k].to(weights), weights[..., :k]], dim=-1)
    return picked
