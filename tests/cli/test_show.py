"""Terminal output: 80 columns at most, whatever the terminal; JSON as it is."""

from __future__ import annotations

import json
import shutil
from os import terminal_size

import pytest
from typer import rich_utils

from regard.cli.show import console, flow, narrow_help, write_error, write_json, write_table
from regard.results import Table

LONG = "a title of many words that goes on and on and would not fit into the terminal by a wide margin"
TABLE = Table(("key", "title", "year"), (("vit", LONG, 2021), ("[bold]", "markup [red]", None)), title="papers")


@pytest.mark.parametrize(("columns", "wanted"), [(200, 80), (60, 60)])
def test_the_console_is_as_wide_as_the_terminal_but_not_wider_than_80(
    monkeypatch: pytest.MonkeyPatch, columns: int, wanted: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert console().width == wanted


@pytest.mark.parametrize(("columns", "wanted"), [(200, 80), (60, 60)])
def test_help_keeps_to_the_same_width(monkeypatch: pytest.MonkeyPatch, columns: int, wanted: int) -> None:
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", None)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((columns, 24)))
    narrow_help()
    assert wanted == rich_utils.MAX_WIDTH


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"name": "写真 <b>", "values": [1, None, 0.5]}
    write_json(data)
    told = capsys.readouterr().out
    assert json.loads(told) == data
    assert "写真" in told


def test_a_table_as_json_is_its_own_dict(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(TABLE, as_json=True)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(TABLE.to_dict()))


@pytest.mark.parametrize("columns", [100, 80, 50])
def test_a_table_cuts_one_column_and_shows_the_others_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    write_table(TABLE, as_json=False, squeeze="title")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    row = next(line for line in lines if line.startswith("vit"))
    assert row.rstrip().endswith("2021")
    assert "…" in row
    assert row.split(" ", 1)[1].strip().startswith("a title of many words")
    other = next(line for line in lines if line.startswith("[bold]"))
    assert "markup [red]" in other, "cells are text, not markup"
    assert "None" not in other


def test_a_table_that_fits_is_not_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    write_table(Table(("a", "b"), (("x", "y" * 70),)), as_json=False, squeeze="b")
    assert "y" * 70 in capsys.readouterr().out


def test_errors_are_broken_at_80_columns_but_never_inside_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a/" + "very-long-folder/" * 8 + "photo.png"
    write_error(f"no file '{path}'\n  try: {'one thing or another ' * 8}")
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if len(line) > 80] == [f"  '{path}'"]
    assert lines[0] == "no file"
    assert lines[2].startswith("  try: one thing")
    assert all(line.startswith("    ") for line in lines[3:])


def test_flow_joins_the_lines_of_paragraphs_and_leaves_examples() -> None:
    text = "One\ntwo\n  three.\n\nFour.\n\n>>> f(1)\n2"
    assert flow(text) == "One two three.\n\nFour.\n\n>>> f(1)\n2"
