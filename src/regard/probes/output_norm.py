"""Output norm: how much a head says, for each query."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from regard.core.call import PerQuery
from regard.probes._shared import lengths
from regard.registry import method


@method(
    "probes",
    paper="vector-norms",
    claim="equals the Euclidean length of the output rows; 0 for a head that is ablated",
    source="section 4: norms of what attention passes on, and not its weights alone",
    needs={"out"},
    differs="before the projection behind the heads, which is not part of a call",
    unit="length",
)
def output_norm(out: Float[Tensor, "b h q dv"]) -> PerQuery:
    """Euclidean length of each query's output, after all edits.

    n_i = |o_i|. Gives [B, H, Q]. A head may look sharply and say little: weights alone do not tell.

    Our out: the call's output [B, H, Q, D], before heads are joined. Source: Kobayashi et al. 2020, "Attention is Not
    Only a Weight", section 4.

    >>> import regard as rg, torch
    >>> rg.probes.output_norm(torch.tensor([[[[3.0, 4.0]]]]))
    tensor([[[5.]]])
    """
    return lengths(out, out.shape[1])
