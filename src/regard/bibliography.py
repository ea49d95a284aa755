"""`papers.tsv`: the papers that regard makes runnable, and how far each of them is.

planned -> no method cites it yet · built -> a method cites it · works -> a test marked
`@works("key")` shows what its `works_when` asks for.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from regard.errors import MethodError
from regard.registry import catalogue

State = Literal["planned", "built", "works"]


@dataclass(frozen=True)
class Paper:
    """One row of papers.tsv; `core` rows are the 279 papers of the mission, the others are cited beside them."""

    id: str
    key: str
    title: str
    year: str
    url: str
    family: str
    mechanism: str
    works_when: str
    headline: str
    level: str

    @property
    def core(self) -> bool:
        """Whether the row is one of the 279."""
        return self.id.isdigit()


def papers() -> list[Paper]:
    """Every row of the bibliography, in its order."""
    with Path(__file__).with_name("papers.tsv").open(encoding="utf-8", newline="") as file:
        return [Paper(**row) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def paper(key: str) -> Paper:
    """The row with this key, or `MethodError` with the closest keys."""
    rows = {row.key: row for row in papers()}
    if key not in rows:
        raise MethodError.unknown("paper", key, rows, see="regard papers")
    return rows[key]


def states() -> dict[str, tuple[State, list[str]]]:
    """Key -> (state, what shows it: tests for `works`, methods for `built`)."""
    listed = catalogue()
    built: dict[str, list[str]] = {}
    for card in listed["methods"]:
        built.setdefault(card["paper"], []).append(f"{card['family']}.{card['name']}")
    works: dict[str, list[str]] = listed["works"]
    answer: dict[str, tuple[State, list[str]]] = {}
    for row in papers():
        if row.key in works:
            answer[row.key] = ("works", works[row.key])
        elif row.key in built:
            answer[row.key] = ("built", built[row.key])
        else:
            answer[row.key] = ("planned", [])
    return answer
