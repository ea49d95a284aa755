"""Diagonal: attention to the token a fixed number of places away."""

from __future__ import annotations

import torch

from regard.core.call import PerHead, Rows
from regard.errors import CallError
from regard.registry import method


@method(
    "probes",
    paper="induction-heads",
    claim="1 for a head that looks `offset` tokens away, 1 / keys for uniform attention; 1 for an induction head on a "
    "repeated sequence with offset = 1 - period, skip = period",
    source="prefix matching on a repeated random sequence; heads that attend to the previous token",
    needs={"rows"},
    differs="the offset is given instead of being looked up in the tokens, so the sequence must repeat with one period",
    unit="share of attention",
)
def diagonal(rows: Rows, *, offset: int = 0, skip: int = 0) -> PerHead:
    """Mean attention from each query to the key `offset` places on from it: a diagonal of the matrix.

    m = mean_i p_{i, i + offset} over the queries i >= skip that have such a key. offset 0: attention to
    oneself; -1: a previous-token head. On a sequence that repeats after T tokens, an induction head looks
    at what followed the last time: offset 1 - T, skip T (nothing has been repeated before).

    Our p: the attention weights [B, H, Q, K]. Gives [B, H], 0 .. 1. Tokens count in their order, prefix
    included; over patches see `offset_profile`.

    Raises CallError if no query has such a key. Source: Olsson et al. 2022, "In-context Learning and
    Induction Heads".

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> p = torch.eye(4).roll(-1, dims=1)[None, None]  # everybody looks at the token before
    >>> rg.probes.diagonal(Rows(start=0, logits=p.log(), probs=p, queries=4, masked=True), offset=-1)
    tensor([[1.]])
    """
    keys = rows.probs.shape[-1]
    first, last = max(0, skip, -offset), min(rows.queries, keys - offset)
    if first >= last:
        raise CallError(
            f"no query from {skip} on has a key {offset} places on: there are {rows.queries} queries and {keys} keys",
            hint="an offset, and a skip, nearer to 0",
        )
    query = torch.arange(rows.start, rows.stop, device=rows.probs.device)
    query = query[(query >= first) & (query < last)]
    return rows.probs[:, :, query - rows.start, query + offset].sum(-1) / (last - first)
