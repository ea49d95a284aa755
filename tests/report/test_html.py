"""The page: whole, closed in itself, safe against hostile names, and true to the look it shows."""

from __future__ import annotations

import ast
import base64
import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jinja2 import UndefinedError
from matplotlib import colormaps
from torch import nn

import regard as rg
from regard.looking.look import Look, Looker, Settings, environment
from regard.looking.words import extremes
from regard.models.facts import Facts, remember
from regard.models.picture import read_picture
from regard.report.cells import ink_on
from regard.report.html import again, atlas_table, environment_of_templates, palette, render
from regard.report.payload import encode
from regard.report.pictures import Drawn, panels
from regard.results import Table

from ..looking.vits import ByHand, Recurrent, cnn, facts, picture, planted, vit, with_registers, without_prefix
from .conftest import Render
from .pages import Page

HOSTILE = [
    "<script>alert(1)</script>.png",
    '"><img src=http://evil.example/x onerror=alert(1)>.png',
    'it\'s & "that" {{ 7 * 7 }} {% raw %} </pre></title>.png',
    "写真 \u202e 😀\n\t\\.png",
]


def bare() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return remember(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)).eval(), facts("bare"))


ZOO: dict[str, Callable[[], nn.Module]] = {
    "everything": planted,
    "no attention": cnn,
    "nothing at all": bare,
    "no prefix": without_prefix,
    "registers": with_registers,
    "odd grid": lambda: vit(size=(20, 28)),
    "one layer, twelve heads": lambda: vit(depth=1, embed_dim=24, num_heads=12),
    "shared block": lambda: remember(Recurrent().eval(), facts("shared")),
    "by hand": lambda: remember(ByHand().eval(), facts("by-hand")),
}


@pytest.fixture(scope="module")
def page(planted_look: Look) -> Page:
    return Page(render(Drawn(planted_look)))


def check(page: Page) -> None:
    """What must hold of every page."""
    for address in page.addresses():
        assert re.match(r"#|data:", address), f"asks for {address[:80]}"
    assert all(attrs.get("alt") for attrs in page.all("img"))
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")], "no handlers in attributes"
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        for key in ("aria-labelledby", "aria-describedby"):
            assert attrs.get(key, ids[0] if ids else None) in ids or key not in attrs
    for address in page.addresses():
        if address.startswith("#"):
            assert address[1:] in ids


@pytest.mark.parametrize("name", ZOO)
def test_every_kind_of_model_makes_a_whole_page(looked: Render, name: str) -> None:
    one = looked(ZOO[name](), model="own")
    page = Page(render(Drawn(one)))
    check(page)
    assert one.lead in page.shown
    for line in one.trust:
        assert line.text in page.shown
    for sentence in one.words:
        assert sentence in page.shown
    assert ("payload-data" in page.ids) == (one.attention is not None)
    assert (len(page.all("script")) == 3) == (one.attention is not None)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(looked: Render, name: str) -> None:
    one = looked(planted(), replace(picture(), name=name), source=name)
    page = Page(render(Drawn(one)))
    check(page)
    assert len(page.all("script")) == 3
    assert " ".join(name.split()) in page.shown
    assert page.all("img")[0]["alt"] == name
    assert "49" not in page.texts["h1"][0]
    assert "".join(page.texts["title"]) == f"{name} · regard"


def test_the_page_shows_each_panel_under_its_caption(page: Page, planted_look: Look) -> None:
    alts = {attrs["alt"] for attrs in page.all("img")}
    for caption, _ in panels(planted_look).values():
        assert caption in alts
    assert {f"layer {i} head {j}" for i in (0, 1) for j in (0, 1)} <= alts


def test_the_page_tells_the_classes_and_refusals(page: Page, planted_look: Look) -> None:
    assert planted_look.verdict is not None
    for name, probability, _ in planted_look.verdict.classes.rows:
        assert f"{name} {100 * probability:.1f} %" in page.shown
    refused = replace(planted_look, parts={}, refusals={"tokencut": "the graph holds no cut"})
    assert "tokencut was refused: the graph holds no cut." in Page(render(Drawn(refused))).shown


def test_the_tally_counts_the_levels(page: Page, planted_look: Look) -> None:
    levels = [line.level for line in planted_look.trust]
    assert f"✓ {levels.count('good')} good" in page.shown
    assert f"• {levels.count('note')} to note" in page.shown
    warnings = levels.count("warn")
    assert f"! {warnings} warning{'' if warnings == 1 else 's'}" in page.shown


def test_the_header_and_palette_reach_the_script(page: Page, planted_look: Look) -> None:
    assert planted_look.attention is not None
    assert page.header["sites"] == list(planted_look.attention.sites)
    colours = np.frombuffer(base64.b64decode(page.header["palette"]), np.uint8).reshape(256, 3)
    assert page.header["palette"] == palette()
    np.testing.assert_array_equal(colours[255], (np.array(colormaps["inferno"](255)[:3]) * 255).astype(np.uint8))


def luminance(colour: str) -> float:
    """WCAG's relative luminance."""
    if colour.startswith("#"):
        parts = [17 * int(c, 16) for c in colour[1:]]
    else:
        parts = [int(c) for c in re.findall(r"\d+", colour)]
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_atlas_cells_hold_the_table_and_can_be_read(planted_look: Look) -> None:
    values = np.linspace(0, 13, 300).reshape(30, 10)
    rows = tuple((f"blocks.{i}.attn", *map(float, row)) for i, row in enumerate(values))
    shown = atlas_table(planted_look, "prefix_mass", Table(("site", *"0123456789"), rows))
    assert shown["heads"] == 10
    for row, drawn in zip(values, shown["rows"], strict=True):
        assert [float(cell["text"]) for cell in drawn["cells"]] == pytest.approx(row, abs=0.051)
        assert all(len(cell["text"]) == 4 for cell in drawn["cells"])
        assert all(contrast(cell["fill"], cell["ink"]) >= 4.5 for cell in drawn["cells"])
    assert shown["rows"][3]["site"] == "blocks.3.attn"


def test_ink_can_be_read_on_any_colour() -> None:
    for red in range(0, 256, 15):
        for green in range(0, 256, 15):
            for blue in range(0, 256, 15):
                fill = f"rgb({red},{green},{blue})"
                assert contrast(fill, ink_on(red, green, blue)) >= 4.5, fill


def test_atlas_marks_the_heads_that_the_words_name(planted_look: Look) -> None:
    seen = planted_look.attention
    assert seen is not None
    found = extremes(seen)
    wanted = {"entropy": {found["sharp"]}, "distance": {found["local"], found["global"]}, "prefix_mass": set()}
    for name, heads in wanted.items():
        shown = atlas_table(planted_look, name, seen.tables[name])
        marked = {(i, j) for i, r in enumerate(shown["rows"]) for j, c in enumerate(r["cells"]) if c["mark"]}
        assert marked == heads
    assert shown["title"] == "Mass on CLS"


def test_without_sinks_no_head_is_outlined(planted_look: Look) -> None:
    seen = planted_look.attention
    assert seen is not None
    none = Table(("site", "head 0", "head 1"), (("a", 0.0, 0.0), ("b", 0.0, 0.0)))
    some = Table(("site", "head 0", "head 1"), (("a", 0.0, 0.0), ("b", 0.5, 0.0)))
    for table, count in ((none, 0), (some, 1)):
        one = replace(planted_look, attention=replace(seen, tables=seen.tables | {"sink_mass": table}))
        cells = [c for row in atlas_table(one, "sink_mass", table)["rows"] for c in row["cells"]]
        assert sum(c["mark"] for c in cells) == count


def test_a_blank_in_a_template_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment_of_templates().from_string("{{ nothing }}").render()


def test_python_to_do_it_again_names_what_was_done(planted_look: Look) -> None:
    for name in (*HOSTILE, "C:\\photos\\new.png"):
        tree = ast.parse(again(replace(planted_look, source=name)))
        assert name in [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert "# model: your own planted" in again(
        replace(planted_look, facts=replace(planted_look.facts, weights="given by the caller"))
    )
    seeded = replace(
        planted_look,
        settings=Settings(model="random:resnet18", seed=3, patches=99),
        facts=Facts(name="r", weights="random, seed 3", fit="free"),
    )
    assert 'rg.model("random:resnet18", seed=3)' in again(seeded)
    assert "patches=99)" in again(seeded)
    assert "# picture: the one you gave" in again(replace(planted_look, source=""))


@contextlib.contextmanager
def run(code: str) -> dict[str, object]:  # type: ignore[misc]
    """Names after running `code`, its last line as the name `last`."""
    *lines, last = code.splitlines()
    names: dict[str, object] = {}
    exec("\n".join([*lines, f"last = {last}"]), names)
    yield names


def test_the_python_on_the_page_gives_the_page_again(efficientnet: nn.Module) -> None:
    settings = Settings(model="efficientnet-lite0", orders=3, steps=3, seed=5, patches=20)
    one = Looker(settings, given=efficientnet).look(read_picture("sample:chelsea"), source="sample:chelsea")
    assert one.verdict is not None
    with run(again(one)) as names:
        score = names["last"]
    assert isinstance(score, rg.Score)
    wanted = one.verdict.scores["deletion"]
    assert (score.value, score.p) == (pytest.approx(wanted.value, rel=1e-5), wanted.p)
    np.testing.assert_allclose(score.null, wanted.null, rtol=1e-4)


def test_dinov2_is_under_six_megabytes_and_complete(dinov2_report: Path, dinov2_look: Look) -> None:
    text = dinov2_report.read_text(encoding="utf-8")
    assert len(text.encode()) < 6_000_000
    page = Page(text)
    check(page)
    assert (page.header["layers"], page.header["heads"]) == (12, 6)
    assert "Mass on CLS (share of attention)" in page.shown
    assert f"torch {environment()['torch']}" in page.shown
    code = page.ids["again-code"]
    assert code == again(dinov2_look)
    assert 'rg.image("sample:coffee", like=model)' in code


STYLE = Path(__file__).resolve().parents[2] / "src/regard/report/page/style.css"


def test_the_colours_of_text_can_be_read_in_light_and_dark() -> None:
    """WCAG AA: 4.5 to 1, on the card and on the page."""
    light, dark = re.findall(r":root \{(.*?)\}", STYLE.read_text(encoding="utf-8"), re.DOTALL)
    for block in (light, dark):
        colours = dict(re.findall(r"--(\w+): #(\w{6})", block))
        rgb = {name: f"rgb({int(v[:2], 16)},{int(v[2:4], 16)},{int(v[4:], 16)})" for name, v in colours.items()}
        for ink in ("ink", "soft", "accent", "good", "note", "warn"):
            for ground in ("card", "page"):
                assert contrast(rgb[ink], rgb[ground]) >= 4.5, (ink, ground)


def test_the_page_says_what_was_done_to_the_numbers(
    looked: Render, planted_look: Look, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Values are kept to 1/255 of each map's maximum. arrays.npz holds the CLS rows in full" in page.shown
    monkeypatch.setattr("regard.report.html.encode", lambda seen: encode(replace(seen, cell=2), 0))
    assert (
        "Values are kept to 1/63 of each map's maximum; queries are averaged over cells of 2 x 2 patches; keys are "
        "summed over 4 x 4. arrays.npz holds"
    ) in Page(render(Drawn(planted_look))).shown.replace("\N{MULTIPLICATION SIGN}", "x")
