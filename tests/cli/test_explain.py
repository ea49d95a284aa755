"""`regard explain` as a user calls it."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from regard import api
from regard.cli import app
from regard.errors import MethodError

MODEL = ("--model", "random:test_resnet")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments])


def test_a_map_is_told_and_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "new" / "map.png"
    done = invoke("sample:coffee", *MODEL, "--method", "input_x_gradient", "--target", "7", "--out", str(picture))
    assert done.exit_code == 0, done.output
    assert "input_x_gradient of " in done.output
    assert "160 x 160 values from" in done.output
    assert "(logit)" in done.output
    assert "completeness gap:" in done.output
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert all(len(line) <= 80 for line in done.output.splitlines() if not line.startswith("picture: "))


def test_json_is_the_map_without_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke("sample:coffee", *MODEL, "--method", "hirescam", "--target", "3 vs 5", "--site", "layer3", "--json")
    told = json.loads(done.output)
    assert (told["method"], told["site"], told["target_index"]) == ("hirescam", "layer3", None)
    assert " vs " in told["target"]
    assert told["picture"] == "regard-explain/coffee-hirescam.png"
    assert (tmp_path / told["picture"]).exists()


def test_errors_are_ours() -> None:
    done = invoke("sample:coffee", *MODEL, "--method", "gradcan")
    assert isinstance(done.exception, MethodError)
    assert "'gradcam'" in str(done.exception)


@pytest.mark.parametrize(("text", "goal"), [("281", 281), ("-1", -1), ("tabby", "tabby"), ("1 vs 2", "1 vs 2")])
def test_options_reach_the_verb(monkeypatch: pytest.MonkeyPatch, text: str, goal: Any) -> None:
    given: dict[str, Any] = {}

    def verb(model: Any, x: Any, **options: Any) -> Any:
        given.update(options)
        raise MethodError("seen", hint="-")

    monkeypatch.setattr("regard.api.explain", verb)
    invoke(
        "sample:coffee", *MODEL, f"--target={text}", "--method", "rise", "--site", "a.b", "--seed", "3", "--resume", "k"
    )
    assert given == {"method": "rise", "target": goal, "site": "a.b", "seed": 3, "options": None, "resume": "k"}


def test_set_gives_a_method_its_options(tmp_path: Path) -> None:
    how = ("--method", "integrated-gradients", "--target", "7", "--json", "--out", str(tmp_path / "a.png"))
    done = invoke("sample:coffee", *MODEL, *how, "--set", "steps=3", "--set", "baseline=white")
    told = json.loads(done.output)
    assert (told["method"], told["settings"]["steps"], told["settings"]["baseline"]) == (
        "integrated_gradients", 3, "white",
    )  # fmt: skip
    assert told["forwards"] < 8  # the default of 50 steps takes more


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("stepz=3", "no option 'stepz' of integrated_gradients", "integrated_gradients: baseline, steps"),
        ("steps=few", "integrated_gradients has no steps='few'", "steps: int"),
        ("steps=2.5", "integrated_gradients has no steps=2.5", "steps: int"),
        ("steps", "--set steps", "--set NAME=VALUE"),
        ("rise.p=1", "--set rise.p=1", "METHOD.NAME=VALUE with integrated_gradients"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_before_the_model_is_loaded(
    text: str, message: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regard.api.model", None)
    done = invoke("sample:coffee", *MODEL, "--method", "integrated_gradients", "--set", text)
    assert isinstance(done.exception, MethodError)
    assert done.exception.message == message
    assert hint in done.exception.hint


def test_help_shows_the_options_of_the_verb() -> None:
    options = set(re.findall(r"--([a-z]+)", CliRunner().invoke(app, ["explain", "--help"]).output))
    verb = {p.name for p in inspect.signature(api.explain).parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert options - {"help"} == verb - {"options"} | {"set", "model", "patches", "out", "json"}


@pytest.mark.parametrize("resume", [False, True])
def test_an_interruption_tells_what_is_kept(resume: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("regard.api.explain", stopped)
    folder = tmp_path / "scores"
    done = invoke("sample:coffee", *MODEL, "--method", "rise", *(["--resume", str(folder)] if resume else []))
    assert done.exit_code == 130
    kept = f"interrupted: scores so far are kept in {folder}; the same command goes on from there"
    assert " ".join(done.stderr.split()) == (kept if resume else "interrupted: nothing was written")
