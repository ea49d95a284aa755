"""Histogram self-attention: pixels sorted by intensity attend within bins and across bins."""

from __future__ import annotations

from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import (
    Keys,
    Output,
    Queries,
    Values,
    check,
    check_count,
    check_float,
    softmax_attention,
)  # fmt: skip
from regard.registry import method


@method(
    "operators",
    paper="histoformer",
    claim="equals attention under two masks by hand; permuting pixels permutes the output",
    source="the paper's bin-wise and frequency-wise reshaping of sorted pixels, multiplied",
    needs={"q", "k", "v", "intensity"},
    differs="tokens attend to tokens (the release mixes channels and bins); one order for all channels",
    unit="values",
    kinds="self",
)
def histogram(
    q: Queries, k: Keys, v: Values, intensity: Tensor, *, bins: int = 8, scale: float | None = None
) -> Output:
    """within(q, k, v) * across(q, k, v): attention inside bins of equal count, times attention across bins.

    Pixels are sorted by intensity and cut into `bins` runs. within: each pixel sees its own bin, that is pixels as
    bright as itself, wherever they lie. across: it sees the pixels with its own rank in every bin, that is the whole
    range. Sorting is undone at the end. scale: 1 / sqrt(D) unless given.

    q, k [B, H, N, D], v [B, H, N, E], intensity [B, N]; gives [B, H, N, E]. Ties keep their order.

    Raises LayoutError where shapes do not fit, or bins do not divide the pixels. Source: Sun et al. 2024, "Restoring
    Images in Adverse Weather Conditions via Histogram Transformer".

    >>> import regard as rg, torch
    >>> zero, v = torch.zeros(1, 1, 4, 1), torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 4, 1)
    >>> dark_or_bright = torch.tensor([[0.0, 9.0, 1.0, 8.0]])  # bins {1, 3} and {4, 2}; ranks {1, 4} and {3, 2}
    >>> rg.operators.histogram(zero, zero, v, dark_or_bright, bins=2).flatten()
    tensor([5.0000, 7.5000, 5.0000, 7.5000])
    """
    check(q, k, v, same_count=True)
    check_float("intensity", intensity, "B, N")
    check_count("bins", bins, 1)
    if intensity.shape != (q.shape[0], q.shape[2]) or q.shape[2] % bins:
        raise LayoutError(
            f"intensity {list(intensity.shape)} in {bins} bins for q {list(q.shape)}",
            hint="[B, N], and a number of bins that divides N",
        )
    order = intensity.argsort(dim=-1, stable=True)
    qs, ks, vs = (x.take_along_dim(order[:, None, :, None], 2).unflatten(2, (bins, -1)) for x in (q, k, v))
    within = softmax_attention(qs, ks, vs, scale=scale)
    qs, ks, vs = (x.transpose(2, 3) for x in (qs, ks, vs))
    across = softmax_attention(qs, ks, vs, scale=scale).transpose(2, 3)
    return (within * across).flatten(2, 3).take_along_dim(order.argsort(-1)[:, None, :, None], 2)
