from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regard.report.compare import cells, curves, intervals, render, write
from regard.results import Table
from regard.runs.comparison import Comparison
from regard.runs.plan import Plan

PLAN = Plan(("gradcam",), ("deletion",), ("mean",))


def made() -> Comparison:
    def score(value: float) -> dict[str, object]:
        curve = [[0.0, 0.5, 1.0], [0.9, value, 0.1]]
        return {"value": value, "chance": 0.5, "p": 0.1, "direction": "lower", "curve": curve}

    records = {
        f"<p{i}>": {
            "values": {"gradcam": [], "random": []},
            "scores": {"mean": {"deletion": {"gradcam": score(0.2 + i / 50), "random": score(0.5 + i / 50)}}},
            "masked": {"mean": 0.5},
            "maps": {"gradcam": {"forwards": 1, "seconds": 0.1}},
        }
        for i in range(4)
    }
    return Comparison(PLAN, "a <model>", records, {"<bad>": "no & picture"})


def test_the_page_holds_every_row_and_escapes_names(tmp_path: Path) -> None:
    page = write(made(), tmp_path).read_text(encoding="utf-8")
    assert page == render(made())
    assert "a &lt;model&gt;" in page
    assert "&lt;bad&gt;: no &amp; picture" in page
    assert page.count('class="method"') == 2  # its row in the leaderboard, and in the costs
    assert "http" not in page.split("<body")[0].replace("http-equiv", "")  # nothing is fetched
    assert page.count("data:image/png") == 2


def test_marks_stand_where_the_gains_are() -> None:
    ax = intervals(made(), "deletion").axes[0]
    marks = {line.get_marker(): line.get_xdata() for line in ax.lines if line.get_color() == "#c2410c"}
    np.testing.assert_allclose(np.asarray(marks["|"]), 0.3 - np.arange(4) / 50)
    np.testing.assert_allclose(np.asarray(marks["o"]), [0.27])
    gaps, interval = made().gains("deletion", "mean", "gradcam")
    assert gaps == pytest.approx(0.3 - np.arange(4) / 50)
    np.testing.assert_allclose(np.asarray(marks["None"]), interval)


def test_curves_are_means_over_photos() -> None:
    ax = curves(made(), "deletion").axes[0]
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata()), [0.9, 0.23, 0.1])
    (legend,) = curves(made(), "deletion").legends
    assert [text.get_text() for text in legend.get_texts()] == ["gradcam", "random"]


def test_cells_are_short_texts() -> None:
    got = cells(Table(("method", "v"), (("gradcam", 0.123456), ("random", None))), ("gradcam",))
    assert [row["cells"] for row in got["rows"]] == [["gradcam", "0.123"], ["random", ""]]
    assert [row["method"] for row in got["rows"]] == [True, False]
