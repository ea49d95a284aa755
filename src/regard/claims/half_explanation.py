"""Half an explanation: how much of what moves an output token its cross-attention shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError


@dataclass(frozen=True)
class Explained:
    """Correlations with the saliency: of each head, of each layer's mean over heads, and of the mean over all."""

    heads: Float[Tensor, "l h"]
    layers: Float[Tensor, " l"]
    all: float


def half_explanation(
    attention: Float[Tensor, "l h t f"],
    saliency: Float[Tensor, "t s"],
    *,
    tokens: Bool[Tensor, " t"] | None = None,
    frames: Bool[Tensor, " s"] | None = None,
) -> Explained:
    """Pearson's correlation of cross-attention with the saliency of the same output tokens, over tokens x frames.

    attention: weights of layers and heads from T output tokens to F frames; saliency: what each of S inputs does to the
    token (of the picture, or of the encoder's output). Where F and S differ, attention is laid on the inputs linearly.
    Each token's row is divided by the sum of its sizes, so that no token counts for more. tokens, frames: which to
    keep; leave out end-of-sentence and padding, which draw attention that explains nothing. A matrix without variance
    gives 0.

    Raises LayoutError where token counts differ or fewer than two numbers are left.
    Source: Papi et al. 2025, "Cross-Attention is Half Explanation in Speech-to-Text Models", section 3.

    >>> import torch
    >>> from regard.claims import half_explanation
    >>> a = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).softmax(-1)
    >>> round(half_explanation(a, a[0, 0]).heads[0, 0].item(), 4)
    1.0
    """
    if attention.shape[2] != saliency.shape[0]:
        raise LayoutError(
            f"attention of {attention.shape[2]} tokens, saliency of {saliency.shape[0]}", hint="the same output tokens"
        )
    layers, heads, count, _ = attention.shape
    given = attention.double().flatten(0, 1)
    if given.shape[-1] != saliency.shape[-1]:
        given = F.interpolate(given, size=saliency.shape[-1], mode="linear", align_corners=False)
    rows = torch.ones(count, dtype=torch.bool) if tokens is None else tokens
    columns = torch.ones(saliency.shape[1], dtype=torch.bool) if frames is None else frames
    if int(rows.sum()) * int(columns.sum()) < 2:
        raise LayoutError(f"{int(rows.sum())} tokens x {int(columns.sum())} inputs", hint="two numbers at least")
    one, target = (
        each[..., rows, :][..., columns] for each in (given.view(layers, heads, count, -1), saliency.double())
    )
    wanted = _per_token(target).flatten()
    return Explained(
        heads=_pearson(_per_token(one).flatten(2), wanted),
        layers=_pearson(_per_token(one.mean(1)).flatten(1), wanted),
        all=float(_pearson(_per_token(one.mean((0, 1))).flatten()[None], wanted)[0]),
    )


def _per_token(values: Float[Tensor, "*b t s"]) -> Float[Tensor, "*b t s"]:
    return values / values.abs().sum(-1, keepdim=True).clamp_min(1e-300)


def _pearson(a: Float[Tensor, "*b n"], b: Float[Tensor, " n"]) -> Float[Tensor, "*b"]:
    a, b = a - a.mean(-1, keepdim=True), b - b.mean()
    size = a.norm(dim=-1) * b.norm()
    return torch.where(size > 1e-12, (a * b).sum(-1) / size.clamp_min(1e-300), 0.0)
