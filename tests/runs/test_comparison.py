from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from regard.runs.comparison import CLAIMS, COLUMNS, LONG, Comparison, with_words
from regard.runs.plan import Plan
from regard.subjects.statistics import bca, holm, kendall, paired

PLAN = Plan(("gradcam", "gradient"), ("deletion", "saco"), ("mean",))


def made(n: int = 9) -> Comparison:
    """Records with known numbers: gradcam better than chance by about 1, gradient by nothing."""
    rng = np.random.default_rng(0)
    records = {}
    for i in range(n):
        scores = {}
        for metric, direction, sign in (("deletion", "lower", -1), ("saco", "higher", 1)):
            scores[metric] = {
                name: {
                    "value": float(sign * (gain + 0.3 * rng.normal())), "chance": 0.0, "p": 0.5,
                    "direction": direction, "curve": None,
                }
                for name, gain in (("gradcam", 1.0), ("gradient", 0.0), ("random", 0.0))
            }  # fmt: skip
        records[f"p{i}"] = {
            "values": {"gradcam": [], "random": [], "gradient": []},
            "scores": {"mean": scores},
            "masked": {"mean": i / n},
            "maps": {"gradcam": {"forwards": 2, "seconds": float(i)}, "gradient": {"error": "it broke"}},
        }
    return Comparison(PLAN, "planted", records, {"bad": "no picture"})


def test_the_leaderboard_is_the_statistics_of_paired_gains() -> None:
    got = made()
    rows = [row for row in got.leaderboard.rows if row[0] == "deletion"]
    assert rows[0][2] == "gradcam"
    by_hand = {}
    for name in ("gradcam", "gradient", "random"):
        values = [r["scores"]["mean"]["deletion"][name]["value"] for r in got.records.values()]
        by_hand[name] = (np.mean(values), bca(values), paired(-np.array(values), np.zeros(9)))
    corrected = dict(zip(by_hand, holm([t[2].p for t in by_hand.values()]), strict=True))
    for row in rows:
        mean, interval, told = by_hand[row[2]]
        assert row[4:7] == pytest.approx((mean, *interval))
        assert row[7:9] == pytest.approx((told.difference, told.effect))
        assert row[9] == pytest.approx(corrected[row[2]])
    assert rows[0][9] < 0.05 < rows[1][9]
    assert got.names == ("gradcam", "gradient", "random")


def test_agreement_cost_and_masked_accuracy() -> None:
    got = made()
    places = {m: [r[7] for r in sorted(got.leaderboard.rows, key=lambda r: r[2]) if r[0] == m] for m in PLAN.metrics}
    assert got.agreement.rows[0][2] == pytest.approx(kendall(places["deletion"], places["saco"]))
    assert got.cost.rows == (("gradcam", 2.0, 4.0, 0, ""), ("gradient", None, None, 9, "it broke"))
    assert got.masked.rows[0][1] == pytest.approx(4 / 9)


def test_claims_are_paired_differences_to_rivals() -> None:
    got = made()
    rows = {row[2]: row for row in got.claims.rows if row[0] == "deletion"}
    assert list(rows) == ["gradcam over gradient", "gradcam over random"]  # no centre and no edges were judged
    values = {
        name: np.array([r["scores"]["mean"]["deletion"][name]["value"] for r in got.records.values()])
        for name in ("gradcam", "gradient", "random")
    }
    told = {name: paired(-values["gradcam"], -values[name]) for name in ("gradient", "random")}
    corrected = dict(zip(told, holm([one.p for one in told.values()]), strict=True))
    for name, one in told.items():
        row = rows[f"gradcam over {name}"]
        assert row[3:8] == pytest.approx((9, one.difference, *one.interval, one.effect))
        assert row[8] == pytest.approx(corrected[name])
        gaps = values[name] - values["gradcam"]
        assert row[9] == max(7, math.ceil((1.96 * gaps.std(ddof=1) / gaps.mean()) ** 2))  # 4 / 2^7 < .05 < 4 / 2^6
    assert made(1).claims.rows == ()


def test_where_no_claim_is_in_sight_the_pictures_needed_are_not_told() -> None:
    """Two pictures that happen to agree have a large effect, and cannot show a thing: p is 1 after correction."""
    few = [row for row in made(2).claims.rows if row[4] > 0]
    assert few
    assert [(row[8], row[9]) for row in few] == [(1.0, None)] * len(few)
    assert {row[10] for row in made(2).leaderboard.rows} == {None}
    got = made()
    for record in got.records.values():  # what is random now beats the best method, every time
        for name in ("deletion", "saco"):
            scores = record["scores"]["mean"][name]
            scores["random"] = scores["gradcam"] | {"value": 2 * scores["gradcam"]["value"]}
    worse = next(row for row in got.claims.rows if row[2] == "gradcam over random")
    assert worse[4] < 0
    assert worse[8] < 0.05
    assert worse[9] is None
    told = with_words(made(2).claims)
    assert {row[9] for row in told.rows} == {"not to be told"}
    assert with_words(made().leaderboard).rows[0] == made().leaderboard.rows[0]


def test_failures_name_the_method_and_the_first_reason() -> None:
    got = made()
    assert got.failures.rows == (("gradient", 9, 9, "it broke"),)
    got.records["p3"]["maps"]["gradient"] = {"forwards": 1, "seconds": 1.0}  # type: ignore[index]
    assert got.failures.rows == (("gradient", 8, 9, "it broke"),)
    assert got.to_dict()["failures"]["rows"] == [["gradient", 8, 9, "it broke"]]


def test_one_picture_has_no_interval() -> None:
    """It has a value and a difference to chance all the same, by which the rows are in order."""
    one = made(1)
    scores = one.records["p0"]["scores"]["mean"]["deletion"]
    rows = [row for row in one.leaderboard.rows if row[0] == "deletion"]
    assert [row[3:] for row in rows] == [
        (1, scores[row[2]]["value"], None, None, -scores[row[2]]["value"], None, None, None) for row in rows
    ]
    assert [row[7] for row in rows] == sorted((row[7] for row in rows), reverse=True)
    assert one.claims.rows == ()
    one.records["p0"]["scores"]["mean"]["deletion"]["gradcam"]["chance"] = None  # without random maps
    gradcam = next(row for row in one.leaderboard.rows if row[:3] == ("deletion", "mean", "gradcam"))
    assert gradcam[4] == scores["gradcam"]["value"]
    assert gradcam[7] is None


def test_a_method_with_one_picture_leads_no_board_of_many() -> None:
    got = made()
    for i in range(1, 9):
        del got.records[f"p{i}"]["scores"]["mean"]["deletion"]["gradient"]
    got.records["p0"]["scores"]["mean"]["deletion"]["gradient"]["value"] = -99.0
    rows = [row for row in got.leaderboard.rows if row[0] == "deletion"]
    assert rows[-1][2:4] == ("gradient", 1)
    assert rows[-1][7] == 99.0
    assert all("gradient over" not in row[2] for row in got.claims.rows)


def test_what_is_saved_can_be_read_back(tmp_path: Path) -> None:
    got = made()
    plain = json.loads(got.save(tmp_path).read_text())
    assert plain["failed"] == {"bad": "no picture"}
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 9
    assert float(rows[0]["value"]) == got.records["p0"]["scores"]["mean"]["deletion"]["gradcam"]["value"]
    for name, columns, count in (("scores", LONG, 54), ("leaderboard", COLUMNS, 6), ("claims", CLAIMS, 4)):
        table = pq.read_table(tmp_path / f"{name}.parquet")
        assert (tuple(table.column_names), table.num_rows) == (columns, count)
        with (tmp_path / f"{name}.csv").open() as file:
            flat = list(csv.reader(file))[1:]
        for line, row in zip(flat, table.to_pylist(), strict=True):
            assert line == ["" if v is None else str(v) for v in row.values()]
    assert str(pq.read_schema(tmp_path / "scores.parquet").field("value").type) == "double"
    with (tmp_path / "leaderboard.csv").open() as file:
        assert tuple(next(csv.reader(file))) == COLUMNS
