"""Redistribution: attention taken from some keys and given to others (sinks, above all)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from regard.core.call import Call, Rule
from regard.core.edit import Edit
from regard.edits._shared import Heads, Tokens, check_share, members, on_heads, told
from regard.registry import method


@method(
    "edits",
    paper="visual-attention-sink",
    claim="rows still sum to 1, a share of 0 is the identity, a share of 1 to all other keys equals masking the keys",
    source="section 4.2: visual attention redistribution",
    needs={"v", "out"},
    differs="heads and sinks are given, not searched for",
    unit="share of attention",
)
def redistribute(keys: Tokens, share: float = 1.0, to: Tokens = None, heads: Heads = None) -> Edit:
    """Take a share of the attention on `keys` and give it to the keys `to` (None: all others) in proportion.

    With m_S and m_T the mass on source and target keys: p_S <- (1 - r) p_S, p_T <- (1 + r m_S / m_T) p_T. A query
    that has no mass on the targets keeps its row. Closed form: with o_S, o_T, m_S, m_T from the fused kernel with v
    masked to the sources or targets, and with indicators in the place of v, o <- o + r (m_S / m_T o_T - o_S).

    Our r: p in the paper (0.6). Raises EditError for a share outside 0 .. 1, tokens or heads that do not exist.
    Source: Kang et al. 2025, "See What You Are Told: Visual Attention Sink in Large Multimodal Models", section 4.2.

    >>> import regard as rg
    >>> rg.edits.redistribute(keys=[0], share=0.6)
    redistribute(0.6)
    """
    check_share("share", share)

    def change(call: Call) -> Call:
        if call.given is not None or not share:
            return call
        sources = members(call, keys, "key")
        targets = ~sources if to is None else members(call, to, "key") & ~sources
        moved = on_heads(call, heads, share, 0.0)

        def rows(probs: Tensor, _: int, __: Call) -> Tensor:
            of_sources, of_targets = (probs[..., some].sum(-1, keepdim=True) for some in (sources, targets))
            r = torch.where(of_targets > 0, moved.to(probs), torch.zeros_like(of_targets))
            grown = r * of_sources / of_targets.clamp_min(torch.finfo(probs.dtype).tiny)
            return probs * (1 + grown * targets - r * sources)

        def closed(before: Call, product: Callable[[Tensor], Tensor]) -> Tensor | None:
            if before.dropout:  # each product would drop others
                return None
            v = before.values
            marks = torch.zeros_like(v)
            marks[..., 0], marks[..., -1] = sources.to(v), targets.to(v)
            if v.shape[-1] < 2:
                return None
            out, mass = product(v), product(marks)
            from_sources, from_targets = (product(v * some[:, None]) for some in (sources, targets))
            of_sources, of_targets = mass[..., :1], mass[..., -1:]
            r = torch.where(of_targets > 0, moved.to(out), torch.zeros_like(of_targets))
            ratio = of_sources / of_targets.clamp_min(torch.finfo(out.dtype).tiny)
            return out + r * (ratio * from_targets - from_sources)

        return call.with_rule(Rule(rows, closed))

    return Edit(f"redistribute({share}{told(heads)})", change)
