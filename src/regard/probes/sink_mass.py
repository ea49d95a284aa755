"""Sink mass: how much attention is parked on a few keys."""

from __future__ import annotations

from regard.core.call import PerHead, Summed
from regard.registry import method


@method(
    "probes",
    paper="sinks",
    claim="0 for uniform attention, 1 when every query looks at one and the same key",
    source="section 3.1: tokens that collect attention whatever the query",
    needs={"received"},
    differs="a sink is any key that receives `times` its fair share, not a fixed position",
    unit="share of attention",
)
def sink_mass(received: Summed, *, times: float = 10.0) -> PerHead:
    """Share of a head's attention that lands on sinks: keys that receive over `times` their fair share.

    m = sum_j r_j [K r_j > times] with r the received attention [B, H, K]. Gives [B, H], 0 .. 1.

    Source: Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks", section 3.1.

    >>> import regard as rg, torch
    >>> rg.probes.sink_mass(torch.tensor([[[0.9] + [0.1 / 19] * 19]]))
    tensor([[0.9000]])
    """
    fair = 1.0 / received.shape[-1]
    return received.where(received > times * fair, received.new_zeros(())).sum(-1)
