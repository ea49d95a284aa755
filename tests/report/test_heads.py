"""The page of heads: whole, closed in itself, safe against hostile names, true to what was computed."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import regard as rg
from regard.looking.headview import HeadView
from regard.models.facts import remember
from regard.report.heads import again, atlas_rows, patch_colours, render, spread_rows, start, summary, told, write

from ..looking.test_headview import OffGrid
from ..looking.vits import Recurrent, facts, vit, with_registers, without_prefix
from .heads_views import held, viewed
from .pages import Page
from .test_html import HOSTILE, check

ALWAYS = {"report.html", "summary.json", "atlas.npz", "atlas.png"}

ZOO: dict[str, Callable[[], nn.Module]] = {
    "plain": vit,
    "no prefix": without_prefix,
    "registers": with_registers,
    "odd grid": lambda: vit(size=(20, 28)),
    "one layer, twelve heads": lambda: vit(depth=1, embed_dim=24, num_heads=12),
    "shared block": lambda: remember(Recurrent().eval(), facts("shared")),
    "off the grid": lambda: remember(OffGrid().eval(), facts("off-grid")),
}


@pytest.fixture(scope="module")
def view() -> HeadView:
    return viewed(with_registers(), "sample:coffee", "sample:rocket", groups=3)


@pytest.fixture(scope="module")
def page(view: HeadView) -> Page:
    return Page(render(view))


@pytest.mark.parametrize("name", ZOO)
def test_every_page_is_whole_and_asks_for_nothing(name: str) -> None:
    view = viewed(ZOO[name]())
    text = render(view)
    page = Page(text)
    check(page)
    for sentence in view.atlas.words:
        assert sentence in page.shown
    for line in view.trust:
        assert line.text in page.shown
    assert ("payload-header" in page.ids) == (view.attention is not None)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_the_header_opens_the_chosen_head_at_the_middle(view: HeadView, page: Page) -> None:
    assert view.chosen is not None
    layer, head = view.chosen
    assert page.header["start"] == start(view) == {
        "layer": layer, "head": head, "y": 4, "x": 4, "cls": False, "pinned": True,
    }  # fmt: skip
    assert (page.header["layers"], page.header["heads"]) == (3, 2)


def test_the_heads_of_the_page_are_the_watched_attention(view: HeadView) -> None:
    model = with_registers()
    with torch.no_grad(), rg.watch(model, keep="probs") as record:
        model(rg.image("sample:coffee", like=model))
    found = held(render(view))
    assert [(one.layer, one.head) for one in found] == [(e.layer, e.head) for e in view.exacts]
    for one in found:
        hooked = record[one.site]["probs"][0, one.head].double().numpy()
        np.testing.assert_allclose(one.attention(), hooked, atol=1e-6)


def test_tables_hold_the_means_and_the_spread(view: HeadView) -> None:
    means, spread = atlas_rows(view.atlas), spread_rows(view.atlas)
    assert view.atlas.std is not None
    for table, values in ((means, view.atlas.values), (spread, view.atlas.std)):
        texts = [[cell["text"] for cell in row["cells"]] for row in table["rows"]]
        assert texts == [[f"{v:.2f}" for v in row] for row in values]
    marked = {(y, x) for y, row in enumerate(means["rows"]) for x, c in enumerate(row["cells"]) if c["mark"]}
    assert marked == {view.atlas.lowest, view.atlas.highest}
    assert means["rows"][0]["site"] == "blocks.0"
    assert "mean of 2 photos" in means["unit"]
    alone = viewed(vit())
    assert "Spread between photos" not in render(alone)


def test_every_head_is_in_one_group_and_can_be_picked(view: HeadView, page: Page) -> None:
    picks = [attrs["data-pick"] for attrs in page.all("button") if "data-pick" in attrs]
    assert sorted(picks) == sorted(f"{a}.{b}" for a in range(3) for b in range(2))
    assert view.groups is not None
    for name in view.groups.names:
        assert name in page.shown


def test_patches_have_their_own_mean_colour(view: HeadView) -> None:
    thumb = np.zeros((32, 32, 3), np.uint8)
    thumb[8:12, 20:24] = (200, 100, 50)
    one = replace(view, thumbs=(thumb, thumb))
    colours = patch_colours(one)
    first = view.joints[0]
    half = len(first.points) // 2
    for at in range(half):
        patch = int(first.token[at]) - 5
        wanted = (128, 128, 128) if patch < 0 else (200, 100, 50) if patch == 2 * 8 + 5 else (0, 0, 0)
        assert tuple(colours[at]) == wanted


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_words(view: HeadView, name: str) -> None:
    evil = replace(
        view,
        first=replace(view.first, name=name),
        sources=(name,),
        atlas=replace(view.atlas, pictures=(name, name), words=(name,)),
        joints=tuple(replace(j, pictures=(name, name)) for j in view.joints),
        unread={name: name},
    )
    page = Page(render(evil))
    check(page)
    assert len(page.all("script")) == len(Page(render(view)).all("script"))
    ast.parse(page.ids["again-code"])


def test_again_runs_and_gives_the_numbers(view: HeadView, monkeypatch: pytest.MonkeyPatch) -> None:
    told_again = again(replace(view, settings=replace(view.settings, model="random:test_vit")))
    own = again(view)
    assert own.splitlines()[1] == "# model: your own tiny"
    named = again(replace(view, facts=replace(view.facts, weights="random"), settings=replace(view.settings, seed=3)))
    assert 'rg.model("tiny")' in named
    space: dict[str, object] = {"model": with_registers()}
    code = told_again.replace("rg.model", "str")
    monkeypatch.setattr("builtins.print", lambda *_, **__: None)
    exec(compile(re.sub(r"^(# model|model).*$", "", code, flags=re.MULTILINE), "again", "exec"), space)
    atlas = space["atlas"]
    assert isinstance(atlas, rg.Atlas)
    np.testing.assert_array_equal(atlas.values, view.atlas.values)


def test_everything_is_written_and_can_be_loaded(view: HeadView, tmp_path: Path) -> None:
    (tmp_path / "plane-9.9.npz").touch()
    report = write(view, tmp_path / "deep")
    (tmp_path / "deep" / "plane-9.9.npz").touch()
    assert write(view, tmp_path / "deep") == report
    planes = {f"plane-{e.layer}.{e.head}.npz" for e in view.exacts}
    assert {p.name for p in report.parent.iterdir()} == ALWAYS | planes | {"groups.npz", "groups.png"}
    back = rg.load(report.parent / "atlas.npz")
    assert isinstance(back, rg.Atlas)
    np.testing.assert_array_equal(back.values, view.atlas.values)
    for name in ("atlas.png", "groups.png"):
        with Image.open(report.parent / name) as drawn:
            assert min(drawn.size) > 100
    facts_told = json.loads((report.parent / "summary.json").read_text(encoding="utf-8"))
    assert facts_told == summary(view) | {"fingerprint": ""}
    assert facts_told["atlas"]["values"] == view.atlas.values.tolist()
    assert facts_told["exact"][0]["error"] <= 1e-6


def test_a_plane_is_saved_under_the_head_it_is_of(view: HeadView, tmp_path: Path) -> None:
    """Also where one of them was refused: names come from the planes, not from their number."""
    assert len(view.joints) > 1
    write(replace(view, joints=view.joints[1:]), tmp_path)
    second = view.exacts[1]
    found = rg.load(tmp_path / f"plane-{second.layer}.{second.head}.npz")
    assert isinstance(found, rg.Joint)
    assert (found.address, found.head) == (second.address, second.head)


def test_off_the_grid_only_the_atlas_is_written(tmp_path: Path) -> None:
    view = viewed(remember(OffGrid().eval(), facts("off-grid")))
    write(view, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == ALWAYS
    assert told(view) == []


def test_a_killed_run_leaves_no_summary(view: HeadView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(view, tmp_path)

    def broken(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("regard.report.heads.render", broken)
    with pytest.raises(KeyboardInterrupt):
        write(view, tmp_path)
    assert not (tmp_path / "summary.json").exists()


def test_sentences_for_the_terminal(view: HeadView) -> None:
    first, second = told(view)
    assert first.startswith(f"Queries and keys of blocks.{view.exacts[0].layer} head {view.exacts[0].head}:")
    assert view.groups is not None
    assert all(name in second for name in view.groups.names)
