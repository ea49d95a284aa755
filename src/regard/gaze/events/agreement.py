"""How well two ways of labelling samples agree beyond chance."""

from __future__ import annotations

from typing import Any

import numpy as np

from regard.errors import DegenerateError, LayoutError


def agreement(one: Any, other: Any, *, kind: int | None = None) -> float:
    """Cohen's kappa: (p - p_chance) / (1 - p_chance), p the share of samples with equal labels; 1 is full, 0 chance.

    kind: only whether a sample has this label or not. Raises DegenerateError where both use one and the same label
    throughout, for which kappa is 0 / 0.

    >>> round(agreement([1, 1, 2, 2], [1, 1, 2, 1]), 3)
    0.5
    """
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise LayoutError(f"labels {list(a.shape)} and {list(b.shape)}", hint="one each a sample")
    if kind is not None:
        a, b = a == kind, b == kind
    chance = sum(float((a == k).mean() * (b == k).mean()) for k in np.union1d(a, b))
    if chance == 1:
        raise DegenerateError("both have one label throughout", hint="a recording in which something happens")
    return (float((a == b).mean()) - chance) / (1 - chance)
