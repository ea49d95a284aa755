"""`regard heads` as a user calls it."""

from __future__ import annotations

import inspect
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

import regard as rg
from regard import api_heads
from regard.cli import app
from regard.cli.heads import tables
from regard.report import heads as report_module

from ..test_atlas import atlas

MODEL = ("--model", "random:test_vit")  # timm's own smallest


@pytest.fixture(autouse=True)
def lightly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No page and no figures: these have their own tests."""
    monkeypatch.setattr(report_module, "render", lambda view: f"page of {view.first.name}")
    monkeypatch.setattr(report_module, "_figure", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "200")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["heads", *arguments])


def narrow(output: str) -> bool:
    return all(len(line) <= 80 for line in output.splitlines() if not line.startswith("report: "))


def test_the_atlas_is_told_as_a_table_and_in_words(tmp_path: Path) -> None:
    done = invoke("sample:coffee", *MODEL, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    model = rg.model("random:test_vit")
    wanted = rg.heads(model, "sample:coffee")
    shown = " ".join(done.output.split())
    for sentence in wanted.words:
        assert sentence in shown
    for site, row in zip(("blocks.0", "blocks.5"), wanted.values[[0, 5]], strict=True):
        line = next(text for text in done.output.splitlines() if text.startswith(site))
        assert line.split() == [site, *(f"{v:.2f}" for v in row)]
    assert "random:test_vit · entropy (bits) on coffee" in done.output
    assert "Groups of heads:" in done.output
    assert f"report: {tmp_path / 'report.html'}" in done.output
    assert (tmp_path / "report.html").read_text() == "page of coffee"
    assert narrow(done.output)


def test_json_parses_and_holds_the_numbers(tmp_path: Path) -> None:
    done = invoke("sample:coffee", "sample:rocket", *MODEL, "--probe", "sink_mass", "--out", str(tmp_path), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    wanted = rg.heads(rg.model("random:test_vit"), ["sample:coffee", "sample:rocket"], probe="sink_mass")
    assert told["report"] == str(tmp_path / "report.html")
    assert told["atlas"]["values"] == wanted.values.tolist()
    assert told["atlas"]["pictures"] == ["coffee", "rocket"]
    assert told["settings"]["probe"] == "sink_mass"


def test_a_folder_of_photos(tmp_path: Path) -> None:
    from PIL import Image

    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("b", "a"):
        Image.fromarray(np.full((60, 60, 3), ord(name), np.uint8)).save(photos / f"{name}.png")
    (photos / "c.jpg").write_bytes(b"no picture")
    done = invoke(str(photos), *MODEL, "--out", str(tmp_path / "out"))
    assert done.exit_code == 1, "one could not be read"
    shown = " ".join(done.output.split())
    assert "mean of 2 photos" in shown
    assert f"! unread {photos / 'c.jpg'}" in shown or "! unread" in shown
    assert narrow("\n".join(line for line in done.output.splitlines() if str(tmp_path) not in line))


def test_a_finished_report_is_told_again_and_one_of_others_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = (*MODEL, "--out", str(tmp_path))
    first = invoke("sample:coffee", *how)
    told = json.loads(invoke("sample:coffee", *how, "--json").stdout)
    with monkeypatch.context() as stopped:
        stopped.setattr("regard.looking.headview.view_heads", None)  # nothing may be computed
        again = invoke("sample:coffee", *how)
        assert json.loads(invoke("sample:coffee", *how, "--json").stdout) == told
    assert again.output.replace(" · kept", "") == first.output
    assert " · kept" in again.output
    for other in (("sample:rocket",), ("sample:coffee", "--probe", "peak")):
        refused = invoke(*other, *how)
        assert isinstance(refused.exception, rg.errors.DataError)
        assert str(refused.exception) == (
            f"'{tmp_path}' holds a report of other photos or settings\n  try: --fresh writes over it, or --out FOLDER"
        )
    assert json.loads((tmp_path / "summary.json").read_text())["atlas"] == told["atlas"]
    assert invoke("sample:rocket", *how, "--fresh").exit_code == 0
    assert json.loads((tmp_path / "summary.json").read_text())["atlas"]["pictures"] == ["rocket"]


def test_a_report_with_photos_that_could_not_be_read_is_made_again(tmp_path: Path) -> None:
    from PIL import Image

    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(np.full((60, 60, 3), 9, np.uint8)).save(photos / "a.png")
    (photos / "b.png").write_bytes(b"no picture")
    for _ in range(2):
        done = invoke(str(photos), *MODEL, "--out", str(tmp_path / "out"))
        assert (done.exit_code, " · kept" in done.output) == (1, False)


ERRORS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "probe": (("--probe", "entrpy"), "no probe named 'entrpy'", "'entropy'"),
    "rows": (("--probe", "row"), "more than one number a head", "entropy"),
    "head": (("--head", "9.0"), "no layer 9 head 0", "layer 0 .. 5"),
    "name": (("--head", "last"), "no head is called 'last'", "LAYER.HEAD"),
    "site": (("--site", "block"), "no site matches 'block'", "blocks"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_done_is_said(name: str, tmp_path: Path) -> None:
    options, message, hint = ERRORS[name]
    done = invoke("sample:coffee", *MODEL, *options, "--out", str(tmp_path))
    assert done.exit_code == 1
    assert isinstance(done.exception, rg.errors.RegardError)
    assert message in str(done.exception)
    assert hint in str(done.exception)


def test_an_empty_folder_and_a_model_without_attention_are_readable_errors(tmp_path: Path) -> None:
    empty = invoke(str(tmp_path), *MODEL)
    assert "no picture in the folder" in str(empty.exception)
    without = invoke("sample:coffee", "--model", "random:resnet18", "--out", str(tmp_path))
    assert "ResNet made no attention call" in str(without.exception)


def test_an_interrupted_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("regard.looking.headview.view_heads", stop)
    done = invoke("sample:coffee", *MODEL, "--out", str(tmp_path))
    assert done.exit_code == 130
    assert "interrupted" in done.output


def test_help_shows_the_options_of_the_verb() -> None:
    shown = CliRunner().invoke(app, ["heads", "--help"]).output
    options = set(re.findall(r"--([a-z]+)", shown))
    verb = {p.name for p in inspect.signature(api_heads.heads).parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert options == verb | {"model", "head", "groups", "seed", "out", "json", "fresh", "help"}


def drawn(**given: Any) -> list[str]:
    screen = Console(width=80, record=True, force_terminal=True, color_system="truecolor", file=io.StringIO())
    for part in tables(atlas(**given)):
        screen.print(part)
    return screen.export_text(styles=True).splitlines()


def test_cells_are_coloured_and_the_extremes_bold() -> None:
    lines = drawn()
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line).split() for line in lines]
    assert plain == [["layer", "0", "1"], ["blocks.0", "3.00", "0.50"], ["blocks.1", "7.25"]]
    assert re.search(r"\x1b\[1;38;2;255;255;255;48;2;68;1;84m  0.50", lines[1]), "the lowest: bold on viridis' darkest"
    assert re.search(r"\x1b\[1;38;2;0;0;0;48;2;253;231;36m  7.25", lines[2])


@pytest.mark.parametrize("heads", [6, 12, 16, 24])
def test_any_number_of_heads_fits_80_columns(heads: int) -> None:
    values = np.arange(2.0 * heads).reshape(2, heads) / 10
    long = ("encoder.layers.encoder_layer_0.self_attention", "encoder.layers.encoder_layer_1.self_attention")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in drawn(values=values, addresses=long, std=None)]
    assert max(map(len, lines)) <= 80
    numbers = [word for line in lines if "encoder" in line for word in line.split()[1:]]
    assert sorted(numbers) == sorted(f"{v:.2f}" for v in values.ravel())
    assert len(lines) % 3 == 0
