"""Received attention: which keys everybody looks at."""

from __future__ import annotations

from regard.core.call import Summed
from regard.registry import method


@method(
    "probes",
    paper="clark-heads",
    claim="sums to 1 over the keys of every head whose queries may all look somewhere",
    source="column mean of the attention matrix",
    needs={"received"},
    differs="none",
    unit="share of attention",
)
def received(received: Summed) -> Summed:
    """Share of all attention that each key receives: the column means of the attention matrix.

    r_j = (1/Q) sum_i p_ij. Gives [B, H, K]; uniform attention gives 1/K everywhere.

    >>> import regard as rg, torch
    >>> rg.probes.received(torch.full((1, 1, 4), 0.25)).sum().item()
    1.0
    """
    return received
