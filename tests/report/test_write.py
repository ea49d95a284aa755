"""A folder is whole or has no summary; its arrays are the look's own."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from regard.looking.look import Look
from regard.report import write as module
from regard.report.pictures import Drawn
from regard.report.write import arrays, sheets, summary, write

from ..looking.vits import cnn, picture, vit
from .conftest import Render

ALWAYS = {"report.html", "arrays.npz", "photo.png", "thumb.jpg", "summary.json", "overview.png"}


@pytest.fixture(scope="module")
def folder(planted_look: Look, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(planted_look, tmp_path_factory.mktemp("written") / "deep" / "spot", "mark").parent


def test_everything_is_written_and_no_draft_is_left(folder: Path) -> None:
    assert {p.name for p in folder.iterdir()} == ALWAYS | {"heads.png", "atlas.png", "curves.png"}
    for name in ("overview", "heads", "atlas", "curves"):
        with Image.open(folder / f"{name}.png") as drawn:
            assert min(drawn.size) > 100


def test_arrays_are_those_of_the_look(folder: Path, planted_look: Look) -> None:
    seen, verdict = planted_look.attention, planted_look.verdict
    assert seen is not None
    assert verdict is not None
    with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
        found = dict(stored)
    np.testing.assert_array_equal(found["photo"], planted_look.seen)
    np.testing.assert_array_equal(found["box"], planted_look.prepared.box)
    np.testing.assert_array_equal(found["rows"], seen.rows)
    np.testing.assert_allclose(found["pooled"], seen.pooled, rtol=1e-3, atol=1e-7)
    for name, table in seen.tables.items():
        np.testing.assert_array_equal(found[name], table.numbers())
    for name, one in planted_look.maps.items():
        np.testing.assert_array_equal(found[name], one.values[0])
    np.testing.assert_array_equal(found["tokencut_mask"], planted_look.parts["tokencut"].mask[0])  # type: ignore[index]
    np.testing.assert_array_equal(found["pca"], planted_look.parts["pca"].values[0])
    np.testing.assert_array_equal(found["insertion_curve"], verdict.scores["insertion"].curve)
    assert set(found) == set(arrays(planted_look))
    with Image.open(folder / "photo.png") as drawn:
        np.testing.assert_array_equal(np.asarray(drawn), planted_look.seen)


def test_the_summary_is_plain_json_with_the_findings(folder: Path, planted_look: Look) -> None:
    told = json.loads((folder / "summary.json").read_text(encoding="utf-8"), parse_constant=lambda c: pytest.fail(c))
    assert told == summary(planted_look) | {"fingerprint": "mark"}
    assert told["lead"] == planted_look.lead
    assert told["words"] == list(planted_look.words)
    assert [line["text"] for line in told["trust"]] == [line.text for line in planted_look.trust]
    assert told["settings"]["orders"] == 9
    assert told["seen"] == [32, 32]
    assert planted_look.verdict is not None
    assert told["scores"]["deletion"]["p"] == planted_look.verdict.scores["deletion"].p
    assert told["classes"][0][0] == "redness"
    assert told["attention"]["sites"] == ["blocks.0.attn", "blocks.1.attn"]


def test_numbers_that_json_lacks_become_null(planted_look: Look) -> None:
    broken = replace(planted_look, seconds={"attention": float("nan")})
    assert summary(broken)["seconds"] == {"attention": None}


def test_sheets_are_those_the_look_can_fill(planted_look: Look, looked: Render) -> None:
    assert set(sheets(Drawn(planted_look))) == {"overview", "heads", "atlas", "curves"}
    assert set(sheets(Drawn(looked(vit())))) == {"overview", "heads", "atlas"}
    assert set(sheets(Drawn(looked(cnn())))) == {"overview", "curves"}


def test_pictures_of_an_earlier_model_do_not_stay(planted_look: Look, looked: Render, tmp_path: Path) -> None:
    write(planted_look, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    write(looked(cnn()), tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == ALWAYS | {"curves.png", "notes.txt"}


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures and no page: where a test is about the order of things, not about what they show."""
    monkeypatch.setattr(module, "sheets", lambda _: {"overview": Figure(figsize=(1, 1))})
    monkeypatch.setattr(module, "render", lambda _: "page")


def breaking(where: str, patch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    patch.setattr(*{"sheets": (module, "sheets"), "arrays": (np, "savez"), "page": (module, "render")}[where], broken)


@pytest.mark.parametrize("where", ["sheets", "arrays", "page"])
def test_a_killed_run_leaves_no_summary_and_no_draft(
    planted_look: Look, light: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Also over a complete folder: what was there before no longer belongs together."""
    write(planted_look, tmp_path)
    with monkeypatch.context() as patch:
        breaking(where, patch)
        with pytest.raises(KeyboardInterrupt):
            write(planted_look, tmp_path)
    assert not (tmp_path / "summary.json").exists()
    assert not list(tmp_path.glob(".*"))
    assert not list(tmp_path.glob("*.part"))
    write(planted_look, tmp_path)
    assert (tmp_path / "summary.json").exists()


def test_the_summary_comes_last(
    planted_look: Look, light: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    genuine = Path.replace

    def spy(self: Path, target: Path) -> Path:
        order.append(Path(target).name)
        return genuine(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    write(planted_look, tmp_path)
    assert order[-1] == "summary.json"
    assert set(order) == ALWAYS, "every file takes its place in one step"


@pytest.mark.parametrize("name", ["写真.png", "cost $5_$6.png", "caf?.png"])
def test_any_name_can_be_drawn_without_a_warning(looked: Render, tmp_path: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(looked(cnn(), replace(picture(), name=name)), tmp_path)
    assert name in (tmp_path / "report.html").read_text(encoding="utf-8")
