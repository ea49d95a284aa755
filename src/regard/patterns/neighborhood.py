"""Neighborhood: the window around each query, moved inwards at the border; strided, dilated, causal."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.patterns._axis import Axis, steps
from regard.patterns._pattern import Pattern, separable
from regard.patterns._space import Place, as_space, fits, per_axis
from regard.registry import method


@method(
    "patterns",
    paper="generalized-na",
    claim="every row of a free axis has exactly `window` keys; window = length is dense, stride = window is blocked",
    source="NATTEN's window rule, as in its documentation; GNA section 3 for the stride",
    needs=(),
    differs="none",
    unit="pairs",
)
def neighborhood(
    queries: Place,
    window: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    causal: bool | Sequence[bool] = False,
) -> Pattern:
    """Each query sees the `window` keys around it; at the border the window moves inwards and keeps its size.

    On an axis, among the L positions of a residue modulo `dilation`, query i follows the leader of its stride,
    l = min(i // s * s + s // 2, L - 1), and sees k keys from lo = clamp(l - k // 2, 0, L - k): an even k looks one
    further back than ahead. Causal: l = min(i // s * s + s - 1, L - 1), keys max(0, l - k + 1) .. i.
    stride 1: neighborhood attention; stride = window: blocks; between: groups of queries share a window (GNA).

    Raises LayoutError where window * dilation is larger than the axis or the stride larger than the window.
    Sources: Hassani et al. 2023 (NAT), 2022 (DiNAT), 2025 (GNA); checked against NATTEN's own masks.

    >>> import regard as rg
    >>> rg.patterns.neighborhood(5, window=3).mask().int()
    tensor([[1, 1, 1, 0, 0],
            [1, 1, 1, 0, 0],
            [0, 1, 1, 1, 0],
            [0, 0, 1, 1, 1],
            [0, 0, 1, 1, 1]], dtype=torch.int32)
    """
    space = as_space(queries)
    ks, ss, ds = (
        per_axis(given, space, name) for given, name in ((window, "window"), (stride, "stride"), (dilation, "dilation"))
    )
    flags = per_axis(causal, space, "causal", least=0)
    fits("window * dilation", [k * d for k, d in zip(ks, ds, strict=True)], space)
    for k, s in zip(ks, ss, strict=True):
        if s > k:
            raise LayoutError(f"stride {s} over window {k}: queries between would see no neighbour", hint=f"1 .. {k}")
    facts = [(n, k, s, d, bool(c)) for n, k, s, d, c in zip(space.axes, ks, ss, ds, flags, strict=True)]
    told = ", ".join(
        f"{name}={numbers}"
        for name, numbers, usual in (("window", ks, 0), ("stride", ss, 1), ("dilation", ds, 1), ("causal", flags, 0))
        if set(numbers) != {usual}
    )
    return separable(f"neighborhood({space}, {told})", space, _near, facts, [_axis(*fact) for fact in facts])


def _axis(length: int, k: int, s: int, d: int, causal: bool) -> Axis:
    lo, hi = [], []
    for place in range(length):
        i, count = place // d, steps(length, d, place % d)
        if causal:
            leader = min(i // s * s + s - 1, count - 1)
            lo.append(max(0, leader - k + 1))
            hi.append(i + 1)
        else:
            leader = min(i // s * s + s // 2, count - 1)
            lo.append(min(max(leader - k // 2, 0), count - k))
            hi.append(lo[-1] + k)
    return Axis(length, tuple(lo), tuple(hi), d)


def _near(i: Tensor, j: Tensor, length: int, k: int, s: int, d: int, causal: bool) -> Tensor:
    """The same by search: of all windows that fit, the one whose middle is nearest to the leader."""
    count = torch.div(length - 1 - i % d, d, rounding_mode="floor") + 1
    step, key = i // d, j // d
    group = torch.arange(s, device=i.device) + (step // s * s)[..., None]  # the queries that share a window
    group = torch.minimum(group, count[..., None] - 1)
    if causal:
        inside = (key <= step) & (group[..., -1] - key < k)
    else:
        starts = torch.arange(-(-length // d) - k + 1, device=i.device)
        away = (starts + k // 2 - group[..., s // 2, None]).abs()
        away = away.masked_fill(starts + k > count[..., None], length * 2)
        best = starts[away.argmin(-1)]
        inside = (key >= best) & (key < best + k)
    return inside & (i % d == j % d)
