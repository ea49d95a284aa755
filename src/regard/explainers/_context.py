"""Context-aware saliency of a map: what differs from its own most similar patches, and what lies near to that."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

PATCH, SCALES, NEAREST, FOCUS, NEARNESS = 7, (1.0, 0.8, 0.5, 0.3), 64, 0.8, 3.0


def distinct(values: Float[Tensor, "h w"], scale: float) -> Float[Tensor, "h w"]:
    """1 - exp(-mean over the 64 patches most like it of d_value / (1 + 3 d_place)), brought to 0 .. 1.

    d_value: root mean square difference of two patches, their middles counting most, over the largest of all; d_place:
    over the longer side.
    """
    h, w = values.shape
    small = F.interpolate(values[None, None], size=_sizes(h, w, scale), mode="area")
    patches = F.unfold(F.pad(small, (PATCH // 2,) * 4, mode="replicate"), PATCH)[0].T * _window().to(small).sqrt()
    rows, columns = small.shape[2:]
    at = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).to(patches) / max(rows, columns)
    apart = torch.cdist(patches, patches)
    unlike = apart / (1 + NEARNESS * torch.cdist(at, at))
    unlike.fill_diagonal_(torch.inf)
    least = unlike.topk(min(NEAREST, len(unlike) - 1), largest=False).values
    found = (1 - torch.exp(-least.mean(1) / apart.max().clamp_min(1e-12))).view(1, 1, rows, columns)
    return _stretched(F.interpolate(found, size=(h, w), mode="bilinear")[0, 0])


def context_aware(values: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """The mean of `distinct` over four scales, less with the distance to the next focus (> .8); 0 of a constant map."""
    if values.min() == values.max():
        return torch.zeros_like(values)
    scaled = _stretched(values)
    found = torch.stack([distinct(scaled, scale) for scale in SCALES]).mean(0)
    h, w = values.shape
    at = torch.cartesian_prod(torch.arange(h), torch.arange(w)).to(values)
    focus = found.flatten() > min(FOCUS, float(found.max()) - 1e-6)
    away = torch.cdist(at, at[focus]).amin(1).view(h, w)
    return found * (1 - away / away.max().clamp_min(1))


def _window() -> Float[Tensor, " places"]:
    """Weights of a patch's places: normal, a fourth of it for a standard deviation. Without, a spot has no middle."""
    along = torch.exp(-0.5 * ((torch.arange(PATCH) - PATCH // 2) / (PATCH / 4)) ** 2)
    both = along[:, None] * along
    return (both / both.sum()).flatten()


def _stretched(values: Tensor) -> Tensor:
    return (values - values.min()) / (values.max() - values.min()).clamp_min(1e-12)


def _sizes(h: int, w: int, scale: float) -> tuple[int, int]:
    return max(2, round(h * scale)), max(2, round(w * scale))
