"""Massive activations: the hidden dimensions by which sinks are known, before any attention is looked at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError


def massive(hidden: Float[Tensor, "b n c"], dimensions: Sequence[int] | None = None) -> Float[Tensor, "b n"]:
    """How massive each token is in fixed hidden dimensions, against the root mean square of its own state.

    a_i = max_{d in dimensions} |x_id| / sqrt(mean_c x_ic^2), 0 .. sqrt(C); 0 for a token of zeros. A token above a
    threshold is a sink: the paper takes 20 for C = 4096, that is .3 of what is possible. None: all dimensions.

    hidden: what goes into a block, as a forward hook sees it. The fixed dimensions are a model's own; those of
    `massive_dimensions` on a text's first token serve. Raises LayoutError for a dimension that does not exist.

    Source: Kang et al. 2025, "See What You Are Told: Visual Attention Sink in Large Multimodal Models".
    """
    width = hidden.shape[-1]
    chosen = list(range(width)) if dimensions is None else list(dimensions)
    wrong = [d for d in chosen if not 0 <= d < width]
    if wrong or not chosen:
        raise LayoutError(f"hidden dimensions {chosen or 'none'} of {width}", hint=f"some of 0 .. {width - 1}")
    wide = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    size = wide.square().mean(-1).sqrt()
    return wide[..., chosen].abs().amax(-1) / size.clamp_min(torch.finfo(size.dtype).tiny)


def massive_dimensions(hidden: Float[Tensor, "b n c"], token: int = 0, count: int = 2) -> list[int]:
    """The hidden dimensions that are largest, on average over the batch, at a token that is known for a sink."""
    if not -hidden.shape[1] <= token < hidden.shape[1] or not 1 <= count <= hidden.shape[-1]:
        raise LayoutError(
            f"{count} dimensions at token {token} of hidden states {list(hidden.shape)}", hint="[B, N, C]; token < N"
        )
    largest: list[int] = hidden[:, token].abs().float().mean(0).topk(count).indices.tolist()
    return largest
