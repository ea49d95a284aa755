"""Regional multi-scale prediction difference: what the score loses when a superpixel is drawn anew, over scales."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.registry import method
from regard.subjects.cells import segment_cells
from regard.subjects.removal import Removal
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="regional-multiscale-pda",
    claim="the sum of w (x - b) over each segment of a linear score; the mean over scales",
    source="section 3: boundary prior, multi-scale superpixels",
    needs={"score"},
    differs="logits instead of log-odds, so that any score can be explained; SLIC's segments; one colour a sample for "
    "the whole region",
    unit="logit",
)
def regional_multiscale(
    x: Tensor, score: Scorer, generator: torch.Generator, *, segments: int = 20, scales: int = 3, samples: int = 4
) -> MapValues:
    """Mean over scales of the score lost when the segment around each pixel is replaced by colours of the border.

    e_u = 1/L sum_l (y(x) - 1/n sum_k y(x with segment s_l(u) in colour c_k)), c_k drawn from a normal fitted to the
    picture's border, a pixel wide; scale l has segments * 2^l superpixels. samples * segments * (2^scales - 1)
    pictures are scored. An object that touches the border is part of the prior, and then told too low. `[B, H, W]`.

    Raises LayoutError for options without a sense.
    Source: Seo, Kim and Kim 2018, "Regional Multi-scale Approach for Visually Pleasing Explanations of Deep Neural
    Networks".

    >>> import regard as rg
    >>> from functools import partial
    >>> model = rg.model("random:test_vit")
    >>> few = partial(rg.explainers.regional_multiscale, segments=4, scales=2, samples=1)
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method=few, target=7).values.shape
    (1, 320, 480)
    """
    if scales < 1 or samples < 1:
        raise LayoutError(f"{scales} scales and {samples} samples", hint="scales=3, samples=4")
    levels = [segment_cells(x, segments * 2**level) for level in range(scales)]
    colours = border_colours(x, samples, generator)
    total = x.new_zeros(len(x), *x.shape[2:], dtype=torch.float64)
    for cells in levels:
        alone = ~torch.eye(cells.count, dtype=torch.bool)
        left = torch.stack([Removal(score, cells, one)(alone) for one in colours]).mean(0)
        lost = (score.value.double().cpu() - left).T.contiguous().to(x.device)
        total += cells.to_map(lost) / scales
    return MapValues(total.to(x.dtype), levels[0].on)


def border_colours(x: Float[Tensor, "b c h w"], samples: int, generator: torch.Generator) -> list[Tensor]:
    """Pictures of one colour each, drawn from the normal of each picture's outermost pixels; the same draw for all."""
    rim = torch.cat([x[:, :, 0], x[:, :, -1], x[:, :, 1:-1, 0], x[:, :, 1:-1, -1]], 2).double()
    mean = rim.mean(2)
    away = rim - mean[:, :, None]
    covariance = away @ away.mT / rim.shape[2]
    floor = 1e-9 * covariance.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-12)
    root = torch.linalg.cholesky(covariance + floor[:, None, None] * torch.eye(x.shape[1]).to(covariance))
    drawn = torch.randn(samples, x.shape[1], generator=generator, dtype=torch.float64).to(x.device)
    colours = mean[None] + torch.einsum("bcd,nd->nbc", root, drawn)
    return [one[:, :, None, None].to(x).expand_as(x) for one in colours]
