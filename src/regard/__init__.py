"""regard: see, score and steer where vision models look - and where people look.

Importing this package does nothing but make its names known; each is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_VERBS = "model image explain discover look methods card papers"
_HOMES = (
    dict.fromkeys(_VERBS.split(), "regard.api")
    | dict.fromkeys(("watch", "edit", "swap", "attend", "sites", "audit"), "regard.api_calls")
    | dict.fromkeys(("score", "bank", "masks", "compare"), "regard.api_scores")
    | dict.fromkeys(("heads", "query_key", "head_groups"), "regard.api_heads")
    | dict.fromkeys(("Map", "Parts", "Score", "Table", "load"), "regard.results")
    | dict.fromkeys(("Atlas", "Joint", "HeadGroups"), "regard.atlas")
    | {"Token": "regard.subjects.token", "Given": "regard.subjects.given"}
    | {"Grid": "regard.layout", "Call": "regard.core.call", "Record": "regard.core.record"}
)
_FAMILIES = (
    "probes", "edits", "explainers", "metrics", "objects", "operators", "patterns", "gaze", "bench", "concepts",
    "claims",
)  # fmt: skip

__all__ = [*_HOMES, *_FAMILIES, "errors"]

if TYPE_CHECKING:
    from regard import (
        bench,
        claims,
        concepts,
        edits,
        errors,
        explainers,
        gaze,
        metrics,
        objects,
        operators,
        patterns,
        probes,
    )
    from regard.api import card, discover, explain, image, look, methods, model, papers
    from regard.api_calls import attend, audit, edit, sites, swap, watch
    from regard.api_heads import head_groups, heads, query_key
    from regard.api_scores import bank, compare, masks, score
    from regard.atlas import Atlas, HeadGroups, Joint
    from regard.core.call import Call
    from regard.core.record import Record
    from regard.layout import Grid
    from regard.results import Map, Parts, Score, Table, load
    from regard.subjects.given import Given
    from regard.subjects.token import Token


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        globals()[name] = found = getattr(import_module(_HOMES[name]), name)  # the next look costs nothing
        return found
    if name in _FAMILIES or name == "errors":
        return import_module(f"regard.{name}")
    raise AttributeError(f"module 'regard' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
