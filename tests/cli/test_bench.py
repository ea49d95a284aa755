"""The command prints what the table says, in 80 columns, and writes its two files."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from regard.cli import app


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["bench", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_attention_is_told_in_80_columns_and_written(tmp_path: Path) -> None:
    told = run(
        "attention", "window(4)", "random(3)", "--size", "8x8", "--impl", "tiled,dense", "--rounds", "1",
        "--out", str(tmp_path),
    )  # fmt: skip
    lines = told.splitlines()
    assert all(len(line) <= 80 for line in lines if not line.startswith("written"))
    assert [line.split()[-5] for line in lines if line.startswith("window")] == ["dense", "tiled", "(ours)"]
    assert "no intervals" in told  # random keys have no tiles: told, not hidden
    assert json.loads((tmp_path / "bench.json").read_text())["machine"]["threads"] == 1
    assert (tmp_path / "bench.png").exists()


def test_auto_is_told_with_what_it_took(tmp_path: Path) -> None:
    told = run("attention", "window(4)", "--size", "8x8", "--rounds", "1", "--backward", "--out", str(tmp_path))
    assert told.count("auto: ") == 2
    assert [line.split()[-5] for line in told.splitlines() if line.startswith("window(8x8, (4, 4))  auto:")] == [
        "forward", "both",
    ]  # fmt: skip
    assert "window(8x8, (4, 4)), auto, forward: took " in told


def test_operators_have_a_column_for_each_length(tmp_path: Path) -> None:
    given = ("operators", "linear", "--kind", "all", "--length", "16,64", "--rounds", "1", "--out", str(tmp_path))
    told = run(*given)
    assert "x at 16" in told
    assert sum(line.startswith("linear") for line in told.splitlines()) == 4
    assert len(json.loads(run(*given, "--json"))["table"]["rows"]) == 8


def test_lengths_that_are_no_numbers() -> None:
    assert "whole numbers" in run("operators", "--length", "a", code=2)
