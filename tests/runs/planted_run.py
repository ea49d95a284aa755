"""A small run on planted pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import Tensor

from regard.mechanisms import ALL
from regard.runs.compare import compare
from regard.runs.comparison import Comparison
from regard.runs.plan import Plan
from regard.subjects.forward import Subject
from regard.testing.planted import PlantedCNN, planted_pictures

PLAN = Plan(("gradcam", "gradient"), ("deletion", "infidelity", "saco"), ("mean",), cells=4, orders=5, steps=4)


def subject(x: Tensor) -> Subject:
    return Subject(PlantedCNN(), x, ALL)


def pictures(n: int) -> dict[str, partial[Tensor]]:
    return {f"p{i}": partial(planted_pictures, [(i % 8, (3 * i) % 8)], seed=i) for i in range(n)}


def go(out: Path | None, n: int = 3, plan: Plan = PLAN) -> Comparison:
    return compare(subject, pictures(n), plan, model="planted", out=out)
