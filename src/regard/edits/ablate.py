"""Ablation: heads that give nothing."""

from __future__ import annotations

from regard.core.edit import Edit
from regard.edits._shared import Heads, told
from regard.edits.scale_heads import scale_heads
from regard.registry import method


@method(
    "edits",
    paper="sixteen-heads",
    claim="the output of an ablated head is exactly 0, of the others bitwise what it was",
    source="section 3: ablating one head",
    needs={"out"},
    differs="none",
    unit="output",
)
def ablate(heads: Heads = None) -> Edit:
    """Set the output of heads to zero.

    o_h <- 0. Closed form. Raises EditError for a head that does not exist.
    Source: Michel et al. 2019, "Are Sixteen Heads Really Better than One?", section 3.

    >>> import regard as rg
    >>> rg.edits.ablate(heads=[2])
    ablate(heads=[2])
    """
    return Edit(f"ablate({told(heads)[2:]})", scale_heads(0.0, heads).change)
