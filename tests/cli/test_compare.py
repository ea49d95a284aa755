from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from regard.cli import app

from ..runs.test_comparison import made


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Exit code, stdout and stderr of the command over records that are known, with no model and no page."""
    monkeypatch.setattr("regard.api.model", lambda name, seed: name)
    monkeypatch.setattr("regard.report.compare.write", lambda made, out: out / "report.html")
    monkeypatch.setenv("COLUMNS", "80")

    def run(comparison: Any, *options: str) -> tuple[int, str, str]:
        monkeypatch.setattr("regard.api_scores.compare", lambda *_, **__: comparison)
        done = CliRunner().invoke(app, ["compare", str(tmp_path), "--out", str(tmp_path), *options])
        return done.exit_code, done.stdout, done.stderr

    return run


def test_a_method_that_failed_on_all_photos_is_an_error_with_its_reason(told: Callable[..., Any]) -> None:
    code, shown, errors = told(made())
    assert code == 1
    assert errors == "gradient failed on all 9 photos: it broke\n"
    assert "report: " in shown  # what did work is told all the same
    code, shown, errors = told(made(), "--json")
    assert (code, errors) == (1, "gradient failed on all 9 photos: it broke\n")
    assert json.loads(shown)["failures"]["rows"] == [["gradient", 9, 9, "it broke"]]


def test_a_method_that_failed_on_some_is_told_below_the_table(told: Callable[..., Any]) -> None:
    some = made()
    some.records["p3"]["maps"]["gradient"] = {"forwards": 1, "seconds": 1.0}
    code, shown, errors = told(some)
    assert (code, errors) == (0, "")
    assert "! gradient failed on 8 of 9 photos: it broke" in shown


def test_pictures_needed_are_told_only_where_a_claim_is_in_sight(told: Callable[..., Any]) -> None:
    few, enough = (
        next(line for line in map(str.strip, told(made(n))[1].splitlines()) if "over random" in line) for n in (2, 9)
    )
    assert few.endswith("not to be told")
    assert enough.split()[-1].isdigit()


def test_set_reaches_the_methods_that_have_such_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("regard.api.model", lambda name, seed: name)
    monkeypatch.setattr("regard.api_scores.compare", lambda *_, **options: given.update(options) or made())
    monkeypatch.setattr("regard.report.compare.write", lambda made, out: out / "report.html")
    how = ["--methods", "rise,lime,gradcam", "--set", "forwards=64", "--set", "lime.ridge=2"]
    CliRunner().invoke(app, ["compare", str(tmp_path), "--out", str(tmp_path), *how])
    assert given["options"] == {"rise": {"forwards": 64}, "lime": {"forwards": 64, "ridge": 2}}


@pytest.mark.slow
def test_the_command_writes_records_tables_and_a_page(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{i}.png")
    how = ["--model", "random:test_vit", "--methods", "gradient, rollout", "--metrics", "mu_fidelity"]
    how += ["--baselines", "mean", "--cells", "4", "--orders", "3", "--out", str(tmp_path / "out"), "--json"]
    first = CliRunner().invoke(app, ["compare", str(photos), *how])
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert Path(told["report"]).read_text().count("<table>") >= 4
    assert {row[2] for row in told["leaderboard"]["rows"]} >= {"gradient", "rollout", "random", "centre", "edges"}
    again = CliRunner().invoke(app, ["compare", str(photos), *how[:-1]])
    assert "2 finished before" in again.output
    assert "pictures needed" in again.output
    assert "forwards" in again.output
    assert "choice kept with half of the cells gone: black" in again.output
    assert (tmp_path / "out" / "scores.csv").exists()


def test_names_are_split_at_commas() -> None:
    from regard.cli.compare import _split

    assert _split("a, b,,c ") == ["a", "b", "c"]


def test_the_help_tells_the_exit_codes() -> None:
    shown = " ".join(CliRunner().invoke(app, ["compare", "--help"], env={"COLUMNS": "80"}).output.split())
    assert "exit code is 1 where a method failed on every photo" in shown.replace("│ ", "")
    assert "130 where the command was interrupted" in shown.replace("│ ", "")
