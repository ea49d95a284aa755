"""Mass on the prefix: how much attention goes to CLS and registers instead of the picture."""

from __future__ import annotations

from regard.core.call import PerHead, Summed
from regard.layout import Grid
from regard.registry import method


@method(
    "probes",
    paper="clark-heads",
    claim="prefix / tokens for uniform attention",
    source="section 3.2: attention to special tokens",
    needs={"received", "grid"},
    differs="CLS and registers in the place of [CLS] and [SEP]",
    unit="share of attention",
)
def prefix_mass(received: Summed, grid: Grid) -> PerHead:
    """Share of a head's attention that lands on prefix tokens (CLS, registers), over all queries.

    m = sum_{j < prefix} r_j with r the received attention [B, H, K]. Gives [B, H], 0 .. 1.

    >>> import regard as rg, torch
    >>> rg.probes.prefix_mass(torch.full((1, 1, 5), 0.2), rg.Grid(2, 2, prefix=1))
    tensor([[0.2000]])
    """
    grid.check_tokens(received.shape[-1], "received attention")
    return received[..., : grid.prefix].sum(-1)
