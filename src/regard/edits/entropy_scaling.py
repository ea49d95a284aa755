"""Entropy scaling: attention as wide over many tokens as it was over those of training."""

from __future__ import annotations

import math

from regard.core.call import Call
from regard.core.edit import Edit
from regard.edits._shared import Heads, on_heads, told
from regard.errors import EditError
from regard.registry import method


@method(
    "edits",
    paper="attention-entropy-scaling",
    claim="equals softmax(logits sqrt(log n / log trained)) by hand; the same number of keys changes no bit",
    source="the scaling factor sqrt(log_T N / d) in the place of sqrt(1 / d)",
    needs={"q", "k"},
    differs="counts the keys of each call, so any attention, of images or not; self-attention is for select= to choose",
    unit="logits",
)
def entropy_scaling(trained: int, heads: Heads = None) -> Edit:
    """Sharpen attention where there are more keys than in training, flatten it where there are fewer.

    p = softmax(s sqrt(log n / log T)), n the keys of the call. The entropy of attention grows with log n, and falls
    with the square of the gain on the logits. Closed form: queries (and the bias) are scaled.

    trained: T, the number of keys that the model was trained with. Raises EditError if it is below 2, for a call with
    fewer than 2 keys, or for heads that do not exist. Source: Jin et al. 2023, "Training-free Diffusion Model
    Adaptation for Variable-Sized Text-to-Image Synthesis".

    >>> import regard as rg
    >>> rg.edits.entropy_scaling(trained=256)
    entropy_scaling(256)
    """
    if trained < 2:
        raise EditError(f"a model trained with {trained} keys has no entropy to hold", hint="2 or more")

    def change(call: Call) -> Call:
        if call.keys < 2:
            raise EditError(f"{call.site} has {call.keys} keys: no factor changes its entropy", hint="select=...")
        if call.keys == trained:
            return call
        gain = math.sqrt(math.log(call.keys) / math.log(trained))
        return call.scaled(on_heads(call, heads, gain, 1.0).flatten())

    return Edit(f"entropy_scaling({trained}{told(heads)})", change)
