"""What metrics of maps share: their types, how a map is read at fixations, and the area under thresholded rates."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from regard.errors import DegenerateError, LayoutError

Heatmap = Float[Tensor, "h w"]
Truth = Float[Tensor, "H W"]
Points = Float[Tensor, "n 2"]
Others = Float[Tensor, "m 2"]
Higher = Float[Tensor, ""]  # higher is better
Lower = Float[Tensor, ""]
STEPS = 4096  # of value, among which the pixels of a map are counted


def pixels(points: Tensor, heatmap: Tensor, *, merge: bool = False) -> Int[Tensor, " n"]:
    """Which entry of the flat map each point (x, y) lies on; merge: each once, as a binary fixation map has it."""
    h, w = heatmap.shape
    if not len(points):
        raise DegenerateError("no fixations to score a map at", hint="at least one inside the picture")
    if not (points.isfinite().all() and (points >= 0).all() and (points[:, 0] < w).all() and (points[:, 1] < h).all()):
        raise LayoutError(
            f"fixations outside the map of {h} x {w}", hint="fixations.inside() drops them; x goes before y"
        )
    at = points.floor().long()
    flat = at[:, 1] * w + at[:, 0]
    return flat.unique() if merge else flat


def check_map(heatmap: Tensor, what: str = "the map") -> None:
    """Raise LayoutError or DegenerateError for what no metric can judge."""
    if heatmap.ndim != 2:
        raise LayoutError(f"{what} is {list(heatmap.shape)}", hint="one map [h, w] at a time")
    if not heatmap.sum().isfinite():  # one pass; NaN and infinity survive in a sum
        raise DegenerateError(f"{what} has NaN or infinite values", hint="a map of finite numbers")


def check_pair(heatmap: Tensor, truth: Tensor) -> None:
    """As `check_map`, for two maps of one size."""
    check_map(heatmap)
    check_map(truth, "the map of people")
    if heatmap.shape != truth.shape:
        raise LayoutError(
            f"a map of {list(heatmap.shape)} against people's of {list(truth.shape)}",
            hint="resize one of them, and say so",
        )


def shares(heatmap: Tensor, what: str) -> Tensor:
    """A map shifted to start at 0 where it has negative values, then divided by its sum; a flat one stays flat."""
    positive, total = weighed(heatmap, what)
    return positive / total


def weighed(heatmap: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """A map shifted to start at 0 where it has negative values, and its sum."""
    low = heatmap.min()
    positive = heatmap - low if low < 0 else heatmap
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
    import torch

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
    below, equal = _placed(edges, near)
    below = (clear + below).double() + equal.double() / 2
    return ((below * many).sum() / (len(others) * len(hits))).to(hits.dtype)


def _steps(edges: Float[Tensor, " e"], others: Float[Tensor, " m"]) -> tuple[Int[Tensor, " e"], Float[Tensor, " k"]]:
    """How many of the many lie in a lower step than each edge and in no edge's step, and all that lie in one."""
    import torch

    low, high = others.aminmax()
    scale = STEPS / (high - low)
    if len(others) < 16 * STEPS or not scale.isfinite():
        return torch.zeros_like(edges, dtype=torch.long), others
    step = others.sub(low).mul_(scale).int()  # rises with the value, rounded as it may be
    own = ((edges - low) * scale).clamp(0, STEPS).long()
    shared = torch.zeros(STEPS + 1, dtype=torch.bool, device=others.device)
    shared[own] = True
    number = torch.bincount(step, minlength=STEPS + 1).masked_fill(shared, 0)
    return (number.cumsum(0) - number)[own], others[shared[step]]


def _placed(edges: Float[Tensor, " e"], others: Float[Tensor, " k"]) -> tuple[Int[Tensor, " e"], Int[Tensor, " e"]]:
    """How many are lower than each edge, and how many equal."""
    import torch

    at = torch.bucketize(others, edges)  # edges[at - 1] < other <= edges[at]
    upto = torch.bincount(at, minlength=len(edges) + 1)[:-1]
    level = at[edges[at.clamp_max(len(edges) - 1)] == others]
    equal = torch.bincount(level, minlength=len(edges))[: len(edges)]
    return upto.cumsum(0) - equal, equal
