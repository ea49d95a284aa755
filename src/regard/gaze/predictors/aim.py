"""AIM: self-information of a picture's own independent components."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.gaze.predictors._photos import photos
from regard.gaze.predictors._shared import Pictures, as_map, blur, check_pictures, shrunk
from regard.registry import method
from regard.subjects.values import MapValues


@method(
    "gaze.predictors",
    paper="aim",
    claim="equals -sum log of histogram shares; the learned responses are uncorrelated and far from Gaussian",
    source="Bruce and Tsotsos 2009",
    needs={"x"},
    differs="the basis (FastICA) comes from four photos that scikit-image carries; histograms are linear between bins",
    unit="nats",
)
def aim(x: Pictures, *, width: int = 400, components: int = 25, bins: int = 256, sigma: float = 8.0) -> MapValues:
    """S = -sum over components of log p(response), p the histogram of that response over this picture.

    Components: independent ones of 21 x 21 colour patches, learned once (about two seconds). sigma: of the last blur,
    in pixels of the working size.

    width: longer side in pixels at which it is computed.

    x [B, 3, H, W] in 0..1; gives [B, h, w]. Raises ImageError for other pictures.

    >>> import torch
    >>> aim(torch.rand(1, 3, 24, 30, generator=torch.Generator().manual_seed(0))).grid
    Grid(h=24, w=30, prefix=0)
    """
    check_pictures(x)
    small = shrunk(x, width)
    filters = basis(components).to(x)
    half = filters.shape[-1] // 2
    responses = F.conv2d(F.pad(small, (half,) * 4, mode="replicate"), filters)
    return as_map(blur(torch.stack([information(one, bins) for one in responses]), sigma))


def information(responses: Float[Tensor, "c h w"], bins: int) -> Float[Tensor, "h w"]:
    """-sum_c log of the histogram's share at each response; `bins` centres, and a pixel counts for the two about it."""
    low, high = responses.amin((1, 2), keepdim=True), responses.amax((1, 2), keepdim=True)
    place = ((responses - low) / (high - low).clamp_min(1e-12) * (bins - 1)).flatten(1)
    at = place.long().clamp_max(bins - 2)
    after = place - at
    counts = torch.zeros(len(at), bins, dtype=place.dtype, device=place.device)
    counts.scatter_add_(1, at, 1 - after).scatter_add_(1, at + 1, after)
    told = counts.gather(1, at) * (1 - after) + counts.gather(1, at + 1) * after
    return -(told / at.shape[1]).log().sum(0).view(responses.shape[1:])


@functools.cache
def basis(components: int, *, side: int = 21, patches: int = 6000) -> Float[Tensor, "c 3 side side"]:
    """Filters of independent components of colour patches: whitened by principal components, then FastICA with tanh."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for photo in photos():
        whole = shrunk(photo, 400)[0]
        h, w = whole.shape[-2:]
        each = patches // len(photos())
        tops = torch.randint(h - side, (each,), generator=generator).tolist()
        lefts = torch.randint(w - side, (each,), generator=generator).tolist()
        rows += [whole[:, t : t + side, a : a + side].flatten() for t, a in zip(tops, lefts, strict=True)]
    data = torch.stack(rows).double()
    data = data - data.mean(1, keepdim=True)  # a patch's mean is not what makes it odd
    centred = data - data.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    whiten = vectors[:, -components:] / values[-components:].sqrt()
    start = torch.randn(components, components, generator=generator, dtype=torch.float64)
    mixed = unmixed(centred @ whiten, start)
    return (whiten @ mixed.T).T.view(components, 3, side, side)


def unmixed(white: Float[Tensor, "n c"], start: Float[Tensor, "c c"], *, rounds: int = 60) -> Float[Tensor, "c c"]:
    """FastICA, all components at once: W <- E[g(Wz) z^T] - E[g'(Wz)] W, then W <- (W W^T)^(-1/2) W, g = tanh."""
    w = _orthonormal(start)
    for _ in range(rounds):
        active = torch.tanh(white @ w.T)
        w = _orthonormal(active.T @ white / len(white) - (1 - active.square()).mean(0)[:, None] * w)
    return w


def _orthonormal(w: Float[Tensor, "c c"]) -> Float[Tensor, "c c"]:
    left, _, right = torch.linalg.svd(w)
    return left @ right
