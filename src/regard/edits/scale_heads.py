"""Head gates: outputs of heads times a number."""

from __future__ import annotations

from regard.core.edit import Edit
from regard.edits._shared import Heads, Numbers, numbers, on_heads, shown, told
from regard.registry import method


@method(
    "edits",
    paper="sixteen-heads",
    claim="the gate's gradient is the inner product of output and output's gradient",
    source="section 2.3: MHAtt with head masks xi",
    needs={"out"},
    differs="none",
    unit="output",
)
def scale_heads(gain: Numbers, heads: Heads = None) -> Edit:
    """Multiply the output of heads by a gain; attention itself stays as it is.

    o_h <- gain_h o_h. A tensor holds one gain for each of `heads` and may require a gradient: that of the
    paper's gate xi_h, whose expected size is the importance of a head. Closed form: the fused kernel is kept.

    Raises EditError for a head that does not exist. Source: Michel et al. 2019, "Are Sixteen Heads Really
    Better than One?", section 2.3.

    >>> import regard as rg
    >>> rg.edits.scale_heads(0.5, heads=[2])
    scale_heads(0.5, heads=[2])
    """
    by = numbers(gain, "gain")
    return Edit(
        f"scale_heads({shown(by)}{told(heads)})",
        lambda call: call.then(lambda out: (out * on_heads(call, heads, by, 1.0)).to(out.dtype)),
    )
