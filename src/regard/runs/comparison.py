"""`Comparison`: records of many pictures, and the tables that they make. Nothing is averaged over metrics."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regard import __version__, files
from regard.results import Table, _plain
from regard.runs.plan import Plan
from regard.subjects.statistics import Paired, bca, claimable, half_width, holm, kendall, paired

COLUMNS = (
    "metric", "baseline", "method", "n", "mean", "low", "high", "over chance", "effect", "p", "pictures needed",
)  # fmt: skip
CLAIMS = (
    "metric", "baseline", "claim", "n", "difference", "low", "high", "effect", "p", "pictures needed",
)  # fmt: skip
RIVALS = ("random", "centre", "edges")
UNTOLD = "not to be told"
LONG = ("picture", "metric", "baseline", "method", "value", "chance", "p", "direction")


@dataclass(frozen=True)
class Comparison:
    """Records by picture name; those that failed as a whole, with the reason; kept: records of an earlier run.

    people: the maps held against people's fixations, where these were given.
    """

    plan: Plan
    model: str
    records: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str]
    kept: int = 0
    people: Table | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Methods and controls that at least one picture has a map of, methods first."""
        seen = dict.fromkeys(name for record in self.records.values() for name in record["values"])
        return tuple(sorted(seen, key=lambda name: (name not in self.plan.methods, list(seen).index(name))))

    @property
    def leaderboard(self) -> Table:
        """One row a metric, baseline and method, best first: mean with BCa interval over pictures; paired difference
        to chance (random places of the same values), positive where it is better, with effect size and Holm's p over
        all rows of the metric and baseline; and how many pictures a claim of it needs, None where none is in sight. Of
        one picture there are the mean and the difference alone."""
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
            sign = 1.0 if next(iter(found.values()), {}).get("direction") == "higher" else -1.0
            chance = np.array([one["chance"] for one in found.values()], dtype=float)
            if len(values) < 2:  # of one picture there is a value, and nothing to tell how far it would be from others
                gaps = [gap for gap in (sign * (values - chance)).tolist() if gap == gap]  # none without random maps
                ends = (*(values.tolist() or [None]), None, None, *(gaps or [None]), None, None, None)
                rows.append((metric, baseline, name, len(values), *ends))
                continue
            low, high = bca(values, seed=self.plan.seed)
            told = paired(sign * values, sign * chance, seed=self.plan.seed)
            rows.append((metric, baseline, name, len(values), float(values.mean()), low, high, told))
        full = [row for row in rows if isinstance(row[7], Paired)]
        told_of = dict(zip((row[2] for row in full), _told([row[7] for row in full]), strict=True))
        rows = [(*row[:7], *told_of.get(row[2], row[7:])) for row in rows]
        few = not full  # a method with one picture stands below those with more, whatever it has on that one
        return sorted(
            rows, key=lambda row: (few or row[8] is not None, -np.inf if row[7] is None else row[7]), reverse=True
        )

    @property
    def claims(self) -> Table:
        """What the best method of each metric and baseline can be said to beat: random places of numbers, a centre, the
        edges of the picture, the runner-up and the first method of the plan. Paired difference by picture, positive
        where the best is better, with BCa interval, effect size, Holm's p over the claims of that metric and baseline,
        and how many pictures like these the claim needs: None where none is in sight, with a p of 1 or a rival that is
        better."""
        rows: list[tuple[Any, ...]] = []
        for metric in self.plan.metrics:
            for baseline in self.plan.baselines:
                rows += self._claimed(metric, baseline)
        return Table(CLAIMS, tuple(rows), title="what the best method beats")

    def _claimed(self, metric: str, baseline: str) -> list[tuple[Any, ...]]:
        ranked = [row[2] for row in self._ranked(metric, baseline) if row[8] is not None]
        methods = [name for name in ranked if name in self.plan.methods]
        if not methods:
            return []
        best, rows = methods[0], []
        ours = self.scores(metric, baseline, best)
        for rival in dict.fromkeys((*methods[1:2], self.plan.methods[0], *RIVALS)):
            theirs = self.scores(metric, baseline, rival)
            both = [picture for picture in ours if picture in theirs]
            if rival == best or len(both) < 2:
                continue
            sign = 1.0 if ours[both[0]]["direction"] == "higher" else -1.0
            one, other = (np.array([sign * of[p]["value"] for p in both]) for of in (ours, theirs))
            told = paired(one, other, seed=self.plan.seed)
            rows.append((metric, baseline, f"{best} over {rival}", len(both), told))
        ends = _told([row[4] for row in rows])
        return [
            (*row[:4], difference, *row[4].interval, effect, p, needs if difference > 0 else None)
            for row, (difference, effect, p, needs) in zip(rows, ends, strict=True)
        ]

    def gains(self, metric: str, baseline: str, name: str) -> tuple[list[float], tuple[float, float] | None]:
        """How far each picture's map is over chance, positive where it is better, and BCa's interval of the mean."""
        found = self.scores(metric, baseline, name).values()
        gaps = [(1 if one["direction"] == "higher" else -1) * (one["value"] - one["chance"]) for one in found]
        return gaps, bca(gaps, seed=self.plan.seed) if len(gaps) > 1 else None

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
            kind: {row[2]: row[7] for row in board.rows if row[:2] == kind and row[8] is not None} for kind in kinds
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
        """How often the model keeps its choice with half of the cells gone: how far from home a baseline takes it. All
        baselines are held side by side, also those that nothing was judged on: this is what to choose one by."""
        rows = []
        for baseline in dict.fromkeys(name for record in self.records.values() for name in record["masked"]):
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

    @property
    def failures(self) -> Table:
        """Methods and controls that gave no map for some picture: on how many, of how many, and the first reason."""
        counts = {name: sum(name in r["maps"] for r in self.records.values()) for name, *_ in self.cost.rows}
        rows = [(name, failed, counts[name], why) for name, _, _, failed, why in self.cost.rows if failed]
        return Table(("method", "failures", "pictures", "first reason"), tuple(rows), title="failures")

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, but for the seconds: a rerun on the same machine gives the same bytes."""
        tables = {name: getattr(self, name) for name in ("leaderboard", "claims", "agreement", "masked", "failures")}
        if self.people is not None:
            tables["people"] = self.people
        plain: dict[str, Any] = _plain({
            "model": self.model, "plan": asdict(self.plan), "made with": made_with(), "failed": self.failed,
            **{name: {"columns": t.columns, "rows": t.rows} for name, t in tables.items()},
            "records": {name: _timeless(record) for name, record in self.records.items()},
        })  # fmt: skip
        return plain

    def save(self, folder: Path) -> Path:
        """comparison.json; leaderboard, claims and scores (one row a score) as CSV and Parquet; cost, with seconds, as
        CSV alone."""
        long = [
            (picture, metric, baseline, name, one["value"], one["chance"], one["p"], one["direction"])
            for metric in self.plan.metrics
            for baseline in self.plan.baselines
            for name in self.names
            for picture, one in self.scores(metric, baseline, name).items()
        ]
        tables = {"leaderboard": self.leaderboard, "claims": self.claims, "scores": Table(LONG, tuple(long))}
        if self.people is not None:
            tables["people"] = self.people
        for name, table in (tables | {"cost": self.cost}).items():
            with files.whole(folder / f"{name}.csv") as draft, draft.open("w", newline="", encoding="utf-8") as out:
                csv.writer(out).writerows([table.columns, *table.rows])
        for name, table in tables.items():
            _write_parquet(table, folder / f"{name}.parquet")
        return files.write_text(folder / "comparison.json", json.dumps(self.to_dict(), indent=1) + "\n")


def with_words(table: Table) -> Table:
    """The table as it is shown: where no claim is in sight, how many pictures one needs is not to be told."""
    at = table.columns.index("pictures needed")
    rows = (tuple(UNTOLD if i == at and cell is None else cell for i, cell in enumerate(row)) for row in table.rows)
    return Table(table.columns, tuple(rows), table.units, table.title)


def _told(found: Sequence[Paired]) -> list[tuple[float, float, float, int | None]]:
    """Difference, effect, Holm's p and pictures needed of differences that are told together."""
    corrected = holm([one.p for one in found])
    return [
        (one.difference, one.effect, p, claimable(one, p, len(found))) for one, p in zip(found, corrected, strict=True)
    ]


def made_with() -> dict[str, str]:
    """What else than the plan decides the numbers."""
    return {
        "regard": __version__, "torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }  # fmt: skip


def _timeless(record: Mapping[str, Any]) -> dict[str, Any]:
    maps = {n: {k: v for k, v in facts.items() if k != "seconds"} for n, facts in record["maps"].items()}
    return {**record, "maps": maps}


def _write_parquet(table: Table, path: Path) -> None:
    """Columns with their types; a column of nothing at all is one of numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(zip(*table.rows, strict=True)) or [() for _ in table.columns]
    made = [pa.array(values) if any(v is not None for v in values) else pa.nulls(len(values), pa.float64())
            for values in columns]  # fmt: skip
    with files.whole(path) as draft:
        pq.write_table(pa.table(dict(zip(table.columns, made, strict=True))), draft)
