"""Temperature: sharper or flatter attention."""

from __future__ import annotations

from regard.core.edit import Edit
from regard.edits._shared import Heads, Numbers, above_zero, on_heads, shown, told
from regard.registry import method


@method(
    "edits",
    paper="patch-robustness",
    claim="equals softmax(logits / tau) by hand; 1 is the identity, bit for bit",
    source="section 5: softmax with temperature",
    needs={"q", "k"},
    differs="any heads, and any tau for each",
    unit="logits",
)
def temperature(tau: Numbers, heads: Heads = None) -> Edit:
    """Divide the logits of heads by tau: below 1 sharpens, above 1 flattens.

    p = softmax(s / tau). Closed form: queries (and the bias) are divided, the fused kernel is kept.

    Raises EditError if tau is not above 0. Source: Gu, Tresp and Qin 2022, "Are Vision Transformers Robust to
    Patch Perturbations?", section 5.

    >>> import regard as rg
    >>> rg.edits.temperature(0.5)
    temperature(0.5)
    """
    by = above_zero(tau, "temperature", "above 0; edits.uniform is what an infinite one tends to")
    return Edit(
        f"temperature({shown(by)}{told(heads)})",
        lambda call: call.scaled(on_heads(call, heads, 1.0 / by, 1.0).flatten()),
    )
