"""Cross-domain integrated gradients: which frequencies, or coefficients of any invertible transform, did it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from regard.errors import LayoutError, MethodError
from regard.explainers._pixels import Baseline
from regard.layout import Grid
from regard.registry import method
from regard.subjects.paths import completeness_gap, gauss_legendre
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues

Pair = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


@method(
    "explainers",
    paper="cross-domain-ig",
    claim="the identity gives integrated gradients; sums to y(x) - y(b) in every domain",
    source="definition of integrated gradients in a transform's domain, for complex coefficients",
    needs={"score"},
    differs="Gauss-Legendre quadrature in the place of a right Riemann sum",
    unit="logit",
)
def cross_domain_ig(
    x: Tensor, score: Scorer, generator: torch.Generator, *,
    transform: str | Pair = "identity", baseline: Baseline = "black",
    steps: int = 50, window: int = 32,
) -> MapValues:  # fmt: skip
    """Integrated gradients over the coefficients z = T(x) of an invertible transform.

    a = Re[(z - z_b) conj(integral_0^1 dy(T^-1)/dz (z_b + t (z - z_b)) dt)], z_b = T(b). "fourier": of pictures both
    halves of the spectrum, frequency 0 in the middle `[B, H, W]`; of series `[B, C, T]` one half, which stands for
    both, `[B, C, T // 2 + 1]`. "stft": of series, windows of `window` samples, `[B, frequency, frame]`. A pair of
    functions is any other T and its inverse; coefficients `[B, K]`, `[B, C, K]` or `[B, C, h, w]`, of which channels
    are summed. gap as in integrated gradients. The map's grid is that of the coefficients, not of the picture.

    Raises LayoutError for a pair whose inverse does not give x back, or where a transform does not fit.
    Source: "Time series saliency maps: explaining models across multiple domains".

    >>> import regard as rg
    >>> from functools import partial
    >>> from regard.testing.planted import PlantedCNN, planted_pictures
    >>> waves = partial(rg.explainers.cross_domain_ig, transform="fourier", steps=8)
    >>> heat = rg.explain(PlantedCNN(), planted_pictures([(2, 5)]), method=waves, target=1)
    >>> divmod(int(heat.values.argmax()), 32)
    (16, 16)
    """
    there, back = _pair(transform, x, window)
    with torch.no_grad():
        start = score.baseline(baseline, generator)
        z, z_start = there(x), there(start)
        error = float((back(z) - x).abs().max() / x.abs().max().clamp_min(torch.finfo(x.dtype).tiny))
    if error > 1e-3:
        raise LayoutError(f"the inverse gives the input back with an error of {error:.1g} of it", hint="T^-1(T(x)) = x")
    path = gauss_legendre(steps)
    slopes = score.gradients((back(z_start + t * (z - z_start)) for t, _ in path), steps)
    mean = torch.zeros_like(z)
    for (t, weight), slope in zip(path, slopes, strict=True):
        mean += weight * _pulled(back, z_start + t * (z - z_start), slope)
    attributed = ((z - z_start) * mean.conj()).real
    gap = completeness_gap(attributed, score.value - score(start))
    heat = _as_map(attributed, shift=transform == "fourier" and x.ndim == 4)
    return MapValues(heat, Grid(*heat.shape[1:]), site=transform if isinstance(transform, str) else None, gap=gap)


def _pulled(back: Callable[[Tensor], Tensor], z: Tensor, slope: Tensor) -> Tensor:
    """dy/dz from dy/dx, in torch's convention for complex numbers: d y = Re[conj(dy/dz) dz]."""
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        (pulled,) = torch.autograd.grad(back(leaf), leaf, slope)
    return pulled


def _pair(transform: str | Pair, x: Tensor, window: int) -> Pair:
    if not isinstance(transform, str):
        return transform
    if transform == "identity":
        return torch.clone, torch.clone
    if transform == "fourier":
        if x.ndim == 4:
            return torch.fft.fft2, lambda z: torch.fft.ifft2(z).real
        return torch.fft.rfft, lambda z: torch.fft.irfft(z, n=x.shape[-1])
    if transform != "stft":
        known = ("identity", "fourier", "stft")
        raise MethodError.unknown("transform", transform, known, see="or a pair of functions")
    if x.ndim != 3 or not 4 <= window <= x.shape[-1]:
        raise LayoutError(
            f"windows of {window} samples of an input {list(x.shape)}", hint="a series [B, C, T]; window=32"
        )
    shape, hann = x.shape, torch.hann_window(window, dtype=x.dtype, device=x.device)

    def there(series: Tensor) -> Tensor:
        z = torch.stft(series.flatten(0, 1), window, window=hann, return_complex=True)
        return z.unflatten(0, shape[:2])

    def back(z: Tensor) -> Tensor:
        return torch.istft(z.flatten(0, 1), window, window=hann, length=shape[-1]).view(shape)

    return there, back


def _as_map(attributed: Tensor, *, shift: bool) -> Tensor:
    if attributed.ndim == 2:
        return attributed[:, None]
    flat = attributed.sum(1) if attributed.ndim == 4 else attributed
    return torch.fft.fftshift(flat, (-2, -1)) if shift else flat
