"""Group focus: how much of a query's attention lands on chosen keys, and on how few of them."""

from __future__ import annotations

import math

import torch

from regard.core.call import PerQuery, Rows
from regard.probes._shared import check_indices
from regard.registry import method


@method(
    "probes",
    paper="visual-heads",
    claim="0 for attention that is even over the group, the mass on the group where one of its keys has all of it",
    source="head score: attention weight on image tokens, and its concentration",
    needs={"rows"},
    differs="the product of mass and 1 - normalised entropy, for each query; the mean over questions is the reader's",
    unit="share of attention",
)
def group_focus(rows: Rows, *, keys: tuple[int, ...] = (0,)) -> PerQuery:
    """Attention mass on a group of keys, times how concentrated it is within the group.

    f_i = m_i (1 - H_i / log n), m_i = sum_{j in keys} p_ij, H_i = -sum_j (p_ij / m_i) log(p_ij / m_i), n the
    number of keys in the group (named twice counts once); a group of one key is as concentrated as can be. Mass by
    itself ranks heads first that look everywhere alike, for the image holds most tokens.

    Our p: the attention weights [B, H, Q, K]. Gives [B, H, Q], 0 .. 1; 0 where nothing lands on the group.

    Raises CallError if a key does not exist. Source: Bi et al. 2024, "Unveiling Visual Perception in Language Models:
    An Attention Head Analysis Approach".

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> p = torch.tensor([[[[0.4, 0.4, 0.2], [0.0, 0.8, 0.2]]]])
    >>> rg.probes.group_focus(Rows(start=0, logits=p.log(), probs=p, queries=2), keys=(0, 1))
    tensor([[[0.0000, 0.8000]]])
    """
    check_indices("key", keys, rows.probs.shape[-1])
    group = rows.probs[..., sorted(set(keys))]
    mass = group.sum(-1)
    if group.shape[-1] <= 1:
        return mass
    share = group / mass.clamp_min(torch.finfo(mass.dtype).tiny)[..., None]
    evenness = torch.special.entr(share).sum(-1) / math.log(group.shape[-1])
    return mass * (1 - evenness).clamp_min(0.0)
