"""People: where they look. `rg.gaze.read` their eyes, `predict` them, `score` a map against them, `train` on them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = dict.fromkeys(("predict", "score", "ceiling", "scanpath", "compare", "area_card"), "regard.gaze.verbs")
_HOMES |= dict.fromkeys(("Fixations", "Scanpath"), "regard.gaze.data")
_HOMES |= dict.fromkeys(("read", "read_bids", "read_multimatch", "read_osie", "from_frame"), "regard.gaze.readers")
_HOMES |= dict.fromkeys(("fixation_map", "blurred", "centre_prior"), "regard.gaze.maps")
_HOMES |= {
    "train": "regard.gaze.trained",
    "optimal": "regard.gaze.optimal_map",
    "CONVENTIONS": "regard.gaze.conventions",
}
_ROOMS = (
    "predictors", "metrics", "comparisons", "foveation", "stimuli", "events", "scanpaths", "following", "architectures",
)  # fmt: skip

__all__ = [*_HOMES, *_ROOMS]

if TYPE_CHECKING:
    from regard.gaze import (
        architectures,
        comparisons,
        events,
        following,
        foveation,
        metrics,
        predictors,
        scanpaths,
        stimuli,
    )
    from regard.gaze.conventions import CONVENTIONS
    from regard.gaze.data import Fixations, Scanpath
    from regard.gaze.maps import blurred, centre_prior, fixation_map
    from regard.gaze.optimal_map import optimal
    from regard.gaze.readers import from_frame, read, read_bids, read_multimatch, read_osie
    from regard.gaze.trained import train
    from regard.gaze.verbs import area_card, ceiling, compare, predict, scanpath, score


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return import_module(f"regard.gaze.{name}")
    raise AttributeError(f"module 'regard.gaze' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
