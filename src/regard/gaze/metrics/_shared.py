"""What metrics of maps share: their types, how a map is read at fixations, and the area under thresholded rates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from regard.errors import DegenerateError, LayoutError

Heatmap = Float[Tensor, "h w"]
Truth = Float[Tensor, "H W"]
Points = Float[Tensor, "n 2"]
Others = Float[Tensor, "m 2"]
Higher = Float[Tensor, ""]  # higher is better
Lower = Float[Tensor, ""]
CLEAR = 0.25  # of the squared mean: a larger variance loses a digit at most as the difference of two sums
PIECE = 1 << 15  # entries
STEPS = 1 << 14  # of value, among which the pixels of a map are counted


def pixels(points: Tensor, heatmap: Tensor, *, merge: bool = False) -> Int[Tensor, " n"]:
    """Which entry of the flat map each point (x, y) lies on; merge: each once, as a binary fixation map has it."""
    h, w = heatmap.shape
    if not len(points):
        raise DegenerateError("no fixations to score a map at", hint="at least one inside the picture")
    low, high = (bound.tolist() for bound in points.aminmax(dim=0))
    if not (min(low) >= 0 and high[0] < w and high[1] < h):  # NaN compares false
        raise LayoutError(
            f"fixations outside the map of {h} x {w}", hint="fixations.inside() drops them; x goes before y"
        )
    at = points.floor().long()
    flat = at[:, 1] * w + at[:, 0]
    return flat.unique() if merge else flat


def check_map(heatmap: Tensor, what: str = "the map") -> Float[Tensor, ""]:
    """The sum of a map, or LayoutError or DegenerateError for what no metric can judge."""
    if heatmap.ndim != 2:
        raise LayoutError(f"{what} is {list(heatmap.shape)}", hint="one map [h, w] at a time")
    total = heatmap.sum()  # NaN and infinity survive in it
    if not math.isfinite(total.item()):
        raise DegenerateError(f"{what} has NaN or infinite values", hint="a map of finite numbers")
    return total


def check_pair(heatmap: Tensor, truth: Tensor) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """As `check_map`, for two maps of one size."""
    totals = check_map(heatmap), check_map(truth, "the map of people")
    if heatmap.shape != truth.shape:
        raise LayoutError(
            f"a map of {list(heatmap.shape)} against people's of {list(truth.shape)}",
            hint="resize one of them, and say so",
        )
    return totals


class Moments(NamedTuple):
    """A map, its mean and its population variance; 0 for a constant map, also where rounding makes it another."""

    values: Float[Tensor, " n"]
    mean: Float[Tensor, ""]
    variance: Float[Tensor, ""]


def moments(heatmap: Truth, total: Float[Tensor, ""]) -> Moments:
    """Moments about 0, of which none makes a copy; a map far from 0 beside its spread is moved to its mean first."""
    values = heatmap.flatten()
    n = values.numel()
    mean = total / n
    variance = values.dot(values) / n - mean**2
    if variance < CLEAR * mean**2:
        values, level = values - mean, mean
        mean = values.mean()
        variance = values.dot(values) / n - mean**2
        if variance <= (8 * torch.finfo(values.dtype).eps * level) ** 2:
            variance = 0 * variance
    return Moments(values, mean, variance)


def pieces(*maps: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Parts of several maps that stay in a core's cache, where what is made of them in several steps costs least."""
    return zip(*(t.flatten().split(PIECE) for t in maps), strict=True)


def logs(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Natural logarithms, by NumPy where it can: it takes a third of the time on CPUs."""
    try:
        return torch.from_numpy(np.log(values.numpy()))
    except (RuntimeError, TypeError):  # a gradient is asked for, a transform is under way, or it lies elsewhere
        return values.log()


def shares(heatmap: Tensor, what: str) -> Tensor:
    """A map shifted to start at 0 where it has negative values, then divided by its sum; a flat one stays flat."""
    positive, total = weighed(heatmap, what, heatmap.sum())
    return positive / total


def weighed(heatmap: Tensor, what: str, total: Tensor) -> tuple[Tensor, Tensor]:
    """A map of that sum shifted to start at 0 where it has negative values, and its sum then."""
    low = heatmap.min()
    positive = heatmap
    if low < 0:
        positive = heatmap - low
        total = positive.sum()
    if not total > 0:
        raise DegenerateError(f"{what} sums to 0", hint="a map with something in it")
    return positive, total


def stretched(heatmap: Tensor) -> Tensor:
    """A map between 0 and 1; a constant one becomes 0."""
    low, high = heatmap.min(), heatmap.max()
    return (heatmap - low) / (high - low) if high > low else heatmap - low


def area(hits: Float[Tensor, "... t"], alarms: Float[Tensor, "... t"]) -> Float[Tensor, ...]:
    """Area under (false alarm, hit) rates at falling thresholds, with the corners (0, 0) and (1, 1), by trapezes."""
    ends = ((1, 0, 0.0), (0, 1, 1.0))
    for left, right, value in ends:
        hits, alarms = (_padded(t, left, right, value) for t in (hits, alarms))
    return ((alarms[..., 1:] - alarms[..., :-1]) * (hits[..., 1:] + hits[..., :-1]) / 2).sum(-1)


def _padded(values: Tensor, left: int, right: int, value: float) -> Tensor:
    from torch.nn.functional import pad

    return pad(values, (left, right), value=value)


def stepped(hits: Float[Tensor, "s n"], alarms: Float[Tensor, "s m"], step: float) -> Float[Tensor, ""]:
    """Mean over splits s of the area at thresholds 0, step, 2 step, ... 1 of values in 0..1, as Borji's code has it."""
    if not 0 < step < 1:
        raise LayoutError(f"step={step}", hint="between 0 and 1, as 0.1")
    thresholds = torch.arange(int(1 / step), -1, -1, dtype=torch.float64).to(hits.device) * step
    rates = [(v.double()[..., None, :] >= thresholds[:, None]).double().mean(-1) for v in (hits, alarms)]
    return area(*rates).mean().to(hits.dtype)


def ranks(hits: Float[Tensor, " n"], others: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    """Chance that a hit lies above another value, ties counting half: the area with every threshold.

    The many are counted in equal steps of value; only those that share a step with a hit are compared, so nothing as
    large as a picture is sorted or searched.
    """
    edges, many = hits.detach().unique(return_counts=True)
    others = others.detach()
    clear, near = _steps(edges, others)
    below = clear.double() + _placed(edges, near)
    return ((below * many).sum() / (len(others) * len(hits))).to(hits.dtype)


def _steps(edges: Float[Tensor, " e"], others: Float[Tensor, " m"]) -> tuple[Int[Tensor, " e"], Float[Tensor, " k"]]:
    """How many of the many lie in a lower step than each edge and in no edge's step, and all that lie in one."""
    low, high = others.aminmax()
    scale = STEPS / (high - low)
    if 8 * len(others) < STEPS or not scale.isfinite():
        return torch.zeros_like(edges, dtype=torch.long), others
    step = others.sub(low).mul_(scale).int()  # rises with the value, rounded as it may be
    own = ((edges - low) * scale).clamp(0, STEPS).long()
    shared = torch.zeros(STEPS + 1, dtype=torch.bool, device=others.device)
    shared[own] = True
    number = torch.bincount(step, minlength=STEPS + 1).masked_fill(shared, 0)
    near = shared.index_select(0, step).cpu().numpy().nonzero()[0]  # NumPy's is four times as fast as a mask in torch
    return (number.cumsum(0) - number)[own], others[torch.from_numpy(near).to(others.device)]


def _placed(edges: Float[Tensor, " e"], others: Float[Tensor, " k"]) -> Float[Tensor, " e"]:
    """How many are lower than each edge, and half of how many are equal: the mean of those < and those <= it."""
    at = [torch.bucketize(others, edges, right=equal) for equal in (True, False)]
    both = sum(torch.bincount(one, minlength=len(edges) + 1) for one in at)
    return torch.as_tensor(both)[:-1].cumsum(0).double() / 2
