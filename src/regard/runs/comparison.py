"""`Comparison`: records of many pictures, and the tables that they make. Nothing is averaged over metrics."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regard import files
from regard.results import Table, _plain
from regard.runs.plan import Plan
from regard.subjects.statistics import bca, half_width, holm, kendall, needed, paired

COLUMNS = (
    "metric", "baseline", "method", "n", "mean", "low", "high", "over chance", "effect", "p", "pictures needed",
)  # fmt: skip
LONG = ("picture", "metric", "baseline", "method", "value", "chance", "p", "direction")


@dataclass(frozen=True)
class Comparison:
    """Records by picture name; those that failed as a whole, with the reason; kept: records of an earlier run."""

    plan: Plan
    model: str
    records: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str]
    kept: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Methods and controls that at least one picture has a map of, methods first."""
        seen = dict.fromkeys(name for record in self.records.values() for name in record["values"])
        return tuple(sorted(seen, key=lambda name: (name not in self.plan.methods, list(seen).index(name))))

    @property
    def leaderboard(self) -> Table:
        """One row a metric, baseline and method, best first: mean with BCa interval over pictures; paired difference
        to chance (random places of the same values), positive where it is better, with effect size and Holm's p over
        all rows of the metric and baseline; and how many pictures an interval of that width would need."""
        rows: list[tuple[Any, ...]] = []
        for metric in self.plan.metrics:
            for baseline in self.plan.baselines:
                rows += self._ranked(metric, baseline)
        return Table(COLUMNS, tuple(rows), title=f"{len(self.records)} pictures, {self.model}")

    def _ranked(self, metric: str, baseline: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for name in self.names:
            found = self.scores(metric, baseline, name)
            values = np.array([one["value"] for one in found.values()])
            if len(values) < 2:
                rows.append((metric, baseline, name, len(values), *([None] * 7)))
                continue
            sign = 1.0 if next(iter(found.values()))["direction"] == "higher" else -1.0
            low, high = bca(values, seed=self.plan.seed)
            chance = np.array([one["chance"] for one in found.values()], dtype=float)
            told = paired(sign * values, sign * chance, seed=self.plan.seed)
            gaps = sign * (values - chance)
            needs = needed(float(gaps.std(ddof=1)), abs(told.difference)) if told.difference else None
            rows.append((
                metric, baseline, name, len(values), float(values.mean()), low, high,
                told.difference, told.effect, told.p, needs,
            ))  # fmt: skip
        full = [row for row in rows if row[4] is not None]
        corrected = dict(zip((row[2] for row in full), holm([row[9] for row in full]), strict=True))
        rows = [(*row[:9], corrected.get(row[2]), row[10]) for row in rows]
        return sorted(rows, key=lambda row: -np.inf if row[7] is None else row[7], reverse=True)

    def scores(self, metric: str, baseline: str, name: str) -> dict[str, Mapping[str, Any]]:
        """The scores of one method by picture."""
        return {
            picture: record["scores"][baseline][metric][name]
            for picture, record in self.records.items()
            if name in record["scores"][baseline][metric]
        }

    @property
    def agreement(self) -> Table:
        """Kendall's tau between the rankings of methods and controls that metrics and baselines give."""
        board = self.leaderboard
        kinds = [(m, b) for m in self.plan.metrics for b in self.plan.baselines]
        places = {
            kind: {row[2]: row[7] for row in board.rows if row[:2] == kind and row[7] is not None} for kind in kinds
        }
        rows = []
        for one in kinds:
            cells = []
            for other in kinds:
                both = [name for name in places[one] if name in places[other]]
                tau = kendall([places[one][n] for n in both], [places[other][n] for n in both]) if both else None
                cells.append(tau)
            rows.append((" / ".join(one), *cells))
        return Table(("ranking", *(" / ".join(kind) for kind in kinds)), tuple(rows), title="Kendall's tau")

    @property
    def masked(self) -> Table:
        """How often the model keeps its choice with half of the cells gone: how far from home a baseline takes it."""
        rows = []
        for baseline in self.plan.baselines:
            shares = [r["masked"][baseline] for r in self.records.values() if baseline in r["masked"]]
            width = half_width(shares) if len(shares) > 1 else None
            rows.append((baseline, float(np.mean(shares)) if shares else None, width))
        return Table(("baseline", "choice kept", "half-width"), tuple(rows), title="half of the cells gone")

    @property
    def cost(self) -> Table:
        """Forwards and seconds of each method, medians over pictures, and how many pictures it failed on."""
        rows = []
        for name in dict.fromkeys(n for r in self.records.values() for n in r["maps"]):
            facts = [r["maps"][name] for r in self.records.values() if name in r["maps"]]
            good = [f for f in facts if "error" not in f]
            failed = [f["error"] for f in facts if "error" in f]
            middle = [float(np.median([f[k] for f in good])) if good else None for k in ("forwards", "seconds")]
            rows.append((name, *middle, len(failed), failed[0] if failed else ""))
        return Table(("method", "forwards", "seconds", "failures", "first reason"), tuple(rows), title="cost")

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        tables = {name: getattr(self, name) for name in ("leaderboard", "agreement", "masked", "cost")}
        plain: dict[str, Any] = _plain({
            "model": self.model, "plan": asdict(self.plan), "failed": self.failed, "records": self.records,
            **{name: {"columns": t.columns, "rows": t.rows} for name, t in tables.items()},
        })  # fmt: skip
        return plain

    def save(self, folder: Path) -> Path:
        """comparison.json, leaderboard.csv, scores.csv (one row a score) and, with pyarrow, scores.parquet."""
        long = [
            (picture, metric, baseline, name, one["value"], one["chance"], one["p"], one["direction"])
            for metric in self.plan.metrics
            for baseline in self.plan.baselines
            for name in self.names
            for picture, one in self.scores(metric, baseline, name).items()
        ]
        for file, columns, rows in (("leaderboard", COLUMNS, self.leaderboard.rows), ("scores", LONG, long)):
            with files.whole(folder / f"{file}.csv") as draft, draft.open("w", newline="", encoding="utf-8") as out:
                csv.writer(out).writerows([columns, *rows])
        if importlib.util.find_spec("pyarrow"):
            import pyarrow as pa
            import pyarrow.parquet as pq

            with files.whole(folder / "scores.parquet") as draft:
                pq.write_table(pa.table(dict(zip(LONG, map(list, zip(*long, strict=True)), strict=True))), draft)
        return files.write_text(folder / "comparison.json", json.dumps(self.to_dict(), indent=1) + "\n")
