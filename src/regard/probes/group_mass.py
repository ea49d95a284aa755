"""Group mass: how much of a query's attention lands on chosen keys."""

from __future__ import annotations

from regard.core.call import PerQuery, Rows
from regard.probes._shared import check_indices
from regard.registry import method


@method(
    "probes",
    paper="clark-heads",
    claim="size of the group / keys for uniform attention; a group and its complement share each row's sum",
    source="section 3.2: attention to special tokens",
    needs={"rows"},
    differs="any group of keys, and each query by itself",
    unit="share of attention",
)
def group_mass(rows: Rows, *, keys: tuple[int, ...] = (0,)) -> PerQuery:
    """Share of each query's attention that lands on a group of keys.

    m_i = sum_{j in keys} p_ij; keys count from 0, prefix tokens included, and one that is named twice
    counts once. A bool mask over the keys becomes a group by `tuple(mask.nonzero()[:, 0].tolist())`.

    Our p: the attention weights [B, H, Q, K]. Gives [B, H, Q], 0 .. 1.

    Raises CallError if a key does not exist; negative numbers do not count from the end. Source: Clark
    et al. 2019, "What Does BERT Look At?", section 3.2.

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> s = torch.zeros(1, 1, 2, 8)
    >>> rg.probes.group_mass(Rows(start=0, logits=s, probs=s.softmax(-1), queries=2), keys=(1, 5))
    tensor([[[0.2500, 0.2500]]])
    """
    check_indices("key", keys, rows.probs.shape[-1])
    return rows.probs[..., sorted(set(keys))].sum(-1)
