"""Peak: the most that a query gives to one key."""

from __future__ import annotations

from regard.core.call import PerQuery, Rows
from regard.registry import method


@method(
    "probes",
    paper="specialized-heads",
    claim="1 / keys for uniform attention, 1 for a query with one key",
    source="confidence of a head: the average of its maximum attention weight",
    needs={"rows"},
    differs="a number for each query instead of their average; no key is left out, where the paper leaves out the end "
    "of the sentence",
    unit="share of attention",
)
def peak(rows: Rows) -> PerQuery:
    """Largest weight in each query's attention; its mean over queries is the head's confidence.

    m_i = max_j p_ij. Our p: the attention weights [B, H, Q, K]. Gives [B, H, Q], 1/K .. 1; 0 for a wholly
    masked query.

    Source: Voita et al. 2019, "Analyzing Multi-Head Self-Attention: Specialized Heads Do the Heavy
    Lifting, the Rest Can Be Pruned".

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> p = torch.tensor([[[[0.2, 0.7, 0.1]]]])
    >>> rg.probes.peak(Rows(start=0, logits=p.log(), probs=p, queries=1))
    tensor([[[0.7000]]])
    """
    return rows.probs.amax(-1)
