"""Named conventions: which variant of each metric a benchmark means, and how it blurs people's fixations.

The convention moves a score as much as the model does, so a card always names its own. What is known of each, and how
surely, stands in its `note`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from regard.errors import LayoutError, MethodError

Size = tuple[int, int]
Columns = Mapping[str, tuple[str, Mapping[str, Any]]]  # of the card -> (method of gaze.metrics, options)


@dataclass(frozen=True)
class Convention:
    """metrics: the card's columns; blur: (size, pixels of a degree) -> sigma in pixels; note: what is known of it."""

    name: str
    blur: Callable[[Size, float | None], float]
    metrics: Columns
    note: str = field(compare=False, default="")


def _degree(size: Size, per_degree: float | None) -> float:
    if per_degree is None:
        raise LayoutError("pixels of a degree are not known", hint="Fixations(..., per_degree=24.0), or sigma=")
    return per_degree


def _eight_cycles(size: Size, per_degree: float | None) -> float:
    """The Gaussian whose spectrum falls to one half at 8 cycles a picture (its longer side)."""
    return max(size) * math.sqrt(math.log(2) / 2) / (8 * math.pi)


_SHARED: Columns = {
    "NSS": ("nss", {}),
    "CC": ("cc", {}),
    "KL": ("kld", {}),
    "SIM": ("sim", {}),
}
JUDD = ("auc_judd", {"jitter": 1e-7})  # without its jitter the code gives a flat map nearly 0
_ALL = (
    Convention(
        "tuebingen",
        _degree,
        {"AUC": ("auc", {}), "sAUC": ("sauc", {}), **_SHARED},
        "MIT/Tübingen: every threshold, all pixels; a Gaussian of one degree; EMD is not part of it",
    ),
    Convention(
        "mit",
        _eight_cycles,
        {
            "AUC-Judd": JUDD,
            "AUC-Borji": ("auc_borji", {}),
            "sAUC": ("sauc_borji", {}),
            "NSS": ("nss", {"sample": True, "merge": True}),
            "CC": ("cc", {}),
            "KL": ("kld", {}),
            "SIM": ("sim", {"stretch": True}),
        },
        "MIT300's code; its Fourier Gaussian as a plain one with the same half-height frequency; EMD on request",
    ),
    Convention(
        "aim2024",
        lambda size, _: size[0] / 9,
        {"CC": ("cc", {}), "SIM": ("sim", {"stretch": True}), "NSS": ("nss", {}), "AUC-Judd": JUDD},
        "four metrics a frame; the blur is that of the organisers' own benchmark (120 px at 1080 rows)",
    ),
    Convention(
        "salicon",
        lambda size, _: size[1] * 19 / 640,
        {"AUC": ("auc", {}), "sAUC": ("sauc", {}), **_SHARED},
        "SALICON's columns with exact AUCs; the blur of 19 px at 640 columns is recalled, not verified",
    ),
)
CONVENTIONS: Mapping[str, Convention] = {one.name: one for one in _ALL}


def convention(name: str) -> Convention:
    """The convention of that name, or MethodError with the closest names.

    >>> sorted(convention("aim2024").metrics)
    ['AUC-Judd', 'CC', 'NSS', 'SIM']
    """
    if name not in CONVENTIONS:
        raise MethodError.unknown("convention", name, CONVENTIONS, see=f"one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
