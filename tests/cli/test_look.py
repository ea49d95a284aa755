"""`regard look` as a user calls it."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from regard import api
from regard.cli import app
from regard.errors import DataError
from regard.report import batch as batch_module
from regard.report import write as write_module

from ..report.conftest import quick

MODEL = ("--model", "random:test_vit")  # timm's own smallest


@pytest.fixture(autouse=True)
def lightly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No importance model, no figures and no page: these have their own tests."""
    quick(monkeypatch)
    monkeypatch.setattr(write_module, "sheets", lambda _: {})
    monkeypatch.setattr(write_module, "render", lambda drawn: f"page of {drawn.look.name}")
    monkeypatch.setenv("COLUMNS", "200")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["look", *arguments])


def narrow(output: str) -> bool:
    return all(len(line) <= 80 for line in output.splitlines() if not line.startswith("report: "))


def test_a_look_is_told_in_words_and_written(tmp_path: Path) -> None:
    done = invoke("sample:coffee", *MODEL, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "coffee" / "summary.json").read_text(encoding="utf-8"))
    shown = " ".join(done.output.split())
    assert summary["lead"] in shown
    for sentence in summary["words"]:
        assert sentence in shown
    for line in summary["trust"]:
        mark = {"good": "✓", "note": "•", "warn": "!"}[line["level"]]
        assert f"{mark} {line['what']} {line['text']}" in shown
    assert f"report: {tmp_path / 'coffee' / 'report.html'}" in done.output
    assert narrow(done.output)


def test_json_parses_and_holds_the_summary(tmp_path: Path) -> None:
    done = invoke("sample:coffee", *MODEL, "--out", str(tmp_path), "--json")
    (one,) = json.loads(done.output)
    assert done.exit_code == 0
    assert (one["source"], one["kept"]) == ("sample:coffee", False)
    assert one["report"] == str(tmp_path / "coffee" / "report.html")
    assert one["attention"]["heads"] == 2
    (again,) = json.loads(invoke("sample:coffee", *MODEL, "--out", str(tmp_path), "--json").output)
    assert again == one | {"kept": True}
    (fresh,) = json.loads(invoke("sample:coffee", *MODEL, "--out", str(tmp_path), "--json", "--fresh").output)
    assert not fresh["kept"]


def test_several_photos_are_told_briefly_and_failures_by_name(tmp_path: Path) -> None:
    done = invoke("sample:coffee", "no [such] file.png", *MODEL, "--out", str(tmp_path))
    assert done.exit_code == 1
    assert "no file 'no [such] file.png'" in done.output
    assert f"1 of 2 photos: {tmp_path / 'index.html'}" in done.output
    assert "watched" not in done.output, "of several photos only the warnings are told"
    assert (tmp_path / "coffee" / "report.html").is_file()


def test_a_missing_file_is_a_readable_message_and_exit_code_1(tmp_path: Path) -> None:
    done = invoke("missing.png", "--out", str(tmp_path))
    assert done.exit_code == 1
    assert "no file 'missing.png'" in done.output
    assert "try: check the path" in done.output
    assert "Traceback" not in done.output
    (one,) = json.loads(invoke("missing.png", "--out", str(tmp_path), "--json").output)
    assert one["source"] == "missing.png"
    assert "no file 'missing.png'" in one["error"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "close"),
    [("dinov2-smal", "'dinov2-small'"), ("random:vit_tiny_patch16_22", "'vit_tiny_patch16_224'")],
)
def test_an_unknown_model_gives_the_closest_names(tmp_path: Path, name: str, close: str) -> None:
    done = invoke("sample:coffee", "--model", name, "--out", str(tmp_path))
    assert done.exit_code == 1
    assert close in done.output
    assert narrow(done.output)


def test_an_output_folder_that_is_a_file_is_a_readable_message(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    done = invoke("sample:coffee", *MODEL, "--out", str(taken))
    assert done.exit_code == 1
    assert isinstance(done.exception, DataError)
    assert f"cannot write to '{taken}': File exists" in str(done.exception)


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(batch_module, "look_at", stop)
    done = invoke("sample:coffee", *MODEL, "--out", str(tmp_path / "out"))
    assert done.exit_code == 130
    assert "interrupted: finished photos are kept" in " ".join(done.output.split())


@pytest.mark.parametrize(("text", "goal"), [("281", 281), ("-1", -1), ("tabby", "tabby"), ("²", "²"), (None, None)])
def test_options_reach_the_settings(monkeypatch: pytest.MonkeyPatch, text: str | None, goal: Any) -> None:
    given: list[Any] = []

    def look_at(*arguments: Any, **options: Any) -> list[Any]:
        given.append((*arguments, options))
        return []

    monkeypatch.setattr("regard.report.batch.look_at", look_at)
    target = [f"--target={text}"] if text else []
    done = invoke(
        "a.png", "b.png", *target, "--patches", "99", "--orders", "7", "--steps", "5", "--seed", "3", "--json"
    )
    assert done.exit_code == 0, done.output
    sources, settings, out, options = given[0]
    assert (sources, str(out), options) == (["a.png", "b.png"], "regard-look", {"fresh": False})
    assert settings == type(settings)("dinov2-small", 99, goal, 7, 5, 3)
    invoke()
    assert given[1][0] == ["sample:chelsea"]


def test_help_shows_the_options_of_the_verb_with_their_defaults() -> None:
    shown = CliRunner().invoke(app, ["look", "--help"]).output
    options = set(re.findall(r"--([a-z]+)", shown))
    verb = [p for p in inspect.signature(api.look).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert options == {p.name for p in verb} | {"out", "json", "fresh", "help"}
    flat = " ".join(shown.replace("│", " ").split())
    for p in verb:
        if p.default is not None:
            assert f"[default: {p.default}]" in flat.split(f"--{p.name} ")[1].split(" --")[0]


@pytest.mark.parametrize("command", ["look", "explain", "heads", "list", "card", "papers"])
def test_help_of_every_command_fits_80_columns(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "regard", command, "--help"],
        capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "200", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert f"regard {command} [OPTIONS]" in done.stdout


@pytest.mark.parametrize("wrong", [["--orders", "0"], ["--patches", "-4"], ["--steps", "many"], ["--nothing", "1"]])
def test_wrong_options_are_usage_errors(wrong: list[str]) -> None:
    assert invoke("sample:coffee", *wrong).exit_code == 2
