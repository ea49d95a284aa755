"""Multi-variate parallel attention: content, offset in time and relation of channels, each with its own logits."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, check_float, scale_of
from regard.registry import method


@method(
    "operators",
    paper="mvpa",
    claim="equals three logits summed pair by pair; permuting channels with their keys permutes the output",
    source="the three terms of the released layer: content, offset in time, channel",
    needs={"q", "k", "v", "times", "channels"},
    differs="channel keys stand for channels themselves and not for their distances; no window on the content term",
    unit="values",
)
def multivariate(
    q: Queries, k: Keys, v: Values, times: Tensor, channels: Tensor, *, biases: Tensor | None = None,
    causal: bool = False, scale: float | None = None,
) -> Output:  # fmt: skip
    """softmax(scale ((q + u) . k_j + (q + w) . r_{t - t'} + (q + z) . c_{channel of j})) v.

    Tokens: channel by channel, in each its T times. times: keys r of the offsets T - 1 .. -(T - 1), [H, 2 T - 1, D].
    channels: keys c of the channels, [B, H, C, D] or [1, H, C, D]. biases: u, w, z, [3, H, D]; None: zeros. causal: no
    token sees a later time of any channel. scale: 1 / sqrt(D) unless given. Any number of channels will do.

    q, k [B, H, C T, D], v [B, H, C T, E]; gives [B, H, C T, E]. The offset term costs N T D, the channel term N C D.

    Raises LayoutError where shapes do not fit. Source: Carzaniga et al. 2025, "A foundation model with multi-variate
    parallel attention to generate neuronal activity".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 2, 6, 4)  # two channels, three times
    >>> dense = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    >>> none = rg.operators.multivariate(q, k, v, torch.zeros(2, 5, 4), torch.zeros(1, 2, 2, 4))
    >>> torch.allclose(none, dense, atol=1e-6)
    True
    """
    check(q, k, v, same_count=True)
    check_float("times", times, "H, 2 T - 1, D")
    check_float("channels", channels)
    count = channels.shape[2]
    steps = q.shape[2] // max(1, count)
    if count * steps != q.shape[2] or times.shape[1] != 2 * steps - 1:
        raise LayoutError(
            f"{q.shape[2]} tokens, {count} channels and {times.shape[1]} offsets", hint="C T tokens and 2 T - 1 offsets"
        )
    u, w, z = q.new_zeros(3, 1, 1, 1) if biases is None else biases[:, :, None]
    at = torch.arange(steps, device=q.device)
    offsets = (steps - 1) - (at[:, None] - at)  # of r, for query time and key time
    by_time = ((q + w) @ times.mT).unflatten(2, (count, steps))
    by_time = by_time.take_along_dim(offsets.expand(*by_time.shape[:3], steps, steps), 4).flatten(2, 3)
    by_channel = (q + z) @ channels.mT
    logits = ((q + u) @ k.mT).unflatten(3, (count, steps)) + by_time[:, :, :, None] + by_channel[..., None]
    if causal:
        later = (at > at[:, None]).repeat(count, 1)[:, None]
        logits = logits.masked_fill(later, float("-inf"))
    return torch.softmax(scale_of(q, scale) * logits.flatten(3), -1) @ v
