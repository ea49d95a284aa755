"""Agg2Exp: which regions of scans speak for each class of a segmentation, in one table."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.errors import DegenerateError, LayoutError
from regard.results import Table
from regard.subjects.forward import UNSEEN, Subject, check_pictures
from regard.subjects.paths import completeness_gap, gauss_legendre
from regard.subjects.scorer import Scorer

Part = Literal["absolute", "positive", "negative"]


def agg2exp(
    model: nn.Module, x: Tensor, regions: Tensor, *,
    names: tuple[str, ...] = (), classes: tuple[str, ...] = (), steps: int = 20,
    baseline: Literal["black", "white", "mean"] = "black", part: Part = "absolute",
) -> Table:  # fmt: skip
    """Share of the attribution to each class that lies in each region, a mean over the scans that show the class.

    y_k = sum of the class's logits over the voxels where the model sees it, these being held fixed: f_k(x) = sum_v
    logit_k(v) 1[argmax(v) = k]. Integrated gradients of y_k over `steps` points, summed over channels, give phi_k;
    share_kj = sum_{v in j} |phi_k(v)| / sum_v |phi_k(v)|, or of the positive or negative part. model: scans to logits
    `[B, K, D, H, W]`; regions `[B, D, H, W]`: 0 .. R - 1, a partition, as `names` are called. A class's row has the
    number of scans that show it, its shares, which sum to 1, and the largest gap |sum phi_k - (f_k(x) - f_k(b))| as a
    share of the latter.

    Raises LayoutError where shapes or names do not fit, DegenerateError for a class that nothing moves.
    Source: Chrabaszcz et al. 2024, "Aggregated Attributions for Explanatory Analysis of 3D Segmentation Models",
    sections 3.1 to 3.3. The authors' sliding window is left to the model.

    >>> import torch
    >>> from regard.subjects.agg2exp import agg2exp
    >>> class Bright(torch.nn.Module):
    ...     def forward(self, x):
    ...         return torch.cat([0.5 - x, x - 0.5], 1)
    >>> x = torch.full((1, 1, 2, 2, 2), 0.2); x[..., 0, 0] = 0.9
    >>> agg2exp(Bright(), x, (x[:, 0] > 0.5).long(), names=("dark", "bright"), classes=("no", "yes")).rows[1][:4]
    ('yes', 1, 0.0, 1.0)
    """
    check_pictures(model, x)
    if x.ndim != 5 or regions.shape != (len(x), *x.shape[2:]) or int(regions.min()) < 0:
        raise LayoutError(
            f"scans {list(x.shape)} with regions {list(regions.shape)}",
            hint="[B, C, D, H, W] and [B, D, H, W], 0 .. R-1",
        )
    count = int(regions.max()) + 1
    names = names or tuple(f"region {j}" for j in range(count))
    if len(names) < count:
        raise LayoutError(f"{len(names)} names for {count} regions", hint="a name for each")
    count = len(names)
    found: dict[int, list[Tensor]] = {}
    gaps: dict[int, float] = {}
    for scan, inside in zip(x.split(1), regions, strict=True):
        with torch.no_grad():
            logits = model(scan)
        if not isinstance(logits, Tensor) or logits.shape[2:] != scan.shape[2:]:
            came = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise LayoutError(f"the model gives {came}, not a logit a voxel", hint="[B, K, D, H, W]")
        seen = logits.argmax(1)
        for k in seen.unique().tolist():
            phi, gap = _integrated(model, scan, seen == k, k, steps, baseline)
            found.setdefault(k, []).append(_shares(phi, inside, count, part))
            gaps[k] = max(gap, gaps.get(k, 0.0))
    rows = []
    for k in sorted(found):
        mean = torch.stack(found[k]).mean(0).tolist()
        rows.append((classes[k] if k < len(classes) else f"class {k}", len(found[k]), *mean, gaps[k]))
    return Table(("class", "scans", *names, "gap"), tuple(rows), title="share of attribution")


def _integrated(
    model: nn.Module, scan: Tensor, mask: Tensor, k: int, steps: int, baseline: str
) -> tuple[Float[Tensor, "d h w"], float]:
    """phi_k of one scan, channels summed, and its gap."""

    def logits_there(output: Tensor) -> Tensor:
        return (output[:, k] * mask).flatten(1).sum(1)

    score = Scorer(Subject(model, scan, UNSEEN), logits_there)
    start, path = score.baseline(baseline), gauss_legendre(steps)
    mean = torch.zeros_like(scan)
    slopes = score.gradients((start + t * (scan - start) for t, _ in path), steps)
    for (_, weight), slope in zip(path, slopes, strict=True):
        mean += weight * slope
    phi = ((scan - start) * mean).sum(1)
    return phi[0], completeness_gap(phi, score.value - score(start))


def _shares(phi: Float[Tensor, "d h w"], regions: Tensor, count: int, part: Part) -> Float[Tensor, " r"]:
    size = phi.abs() if part == "absolute" else (phi if part == "positive" else -phi).clamp_min(0)
    mass = torch.zeros(count, dtype=torch.float64).index_add_(0, regions.flatten().cpu(), size.flatten().double().cpu())
    if not bool(mass.any()):
        raise DegenerateError(f"no {part} attribution to share out", hint="part='absolute', or another baseline")
    return mass / mass.sum()
