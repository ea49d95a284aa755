"""What the tests of map metrics share: fresh maps and fixations with ties and repeats, refusals with their text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor


def drawn(seed: int = 0, h: int = 13, w: int = 17, n: int = 23) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A map in float64 with ties, fixations with a repeat, other fixations, a blurred map of people."""
    g = torch.Generator().manual_seed(seed)
    heat = (torch.rand(h, w, generator=g, dtype=torch.float64) * 50).round() / 50
    points, others = (torch.rand(k, 2, generator=g, dtype=torch.float64) * torch.tensor([w, h]) for k in (n, 3 * n))
    points[1] = points[0]
    truth = torch.rand(h, w, generator=g, dtype=torch.float64) ** 3
    return heat, points, others, truth


def binary(points: Tensor, heat: Tensor) -> Any:
    """The MIT code's fixation map, flat."""
    found = np.zeros(heat.shape)
    for x, y in points.tolist():
        found[int(y), int(x)] = 1
    return found.ravel()


def trapezes(tp: Any, fp: Any) -> float:
    return float(np.trapezoid(tp, fp))


def refuses(kind: type[Exception], text: str, call: Callable[..., Any], *args: Any, **options: Any) -> None:
    with pytest.raises(kind, match=text):
        call(*args, **options)
