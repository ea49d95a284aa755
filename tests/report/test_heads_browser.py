"""The page of heads in Chromium, offline: what its script computes and paints is the watched attention."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

import regard as rg
from regard.looking.headview import HeadSettings, HeadView, view_heads
from regard.models.facts import remember
from regard.report.heads import write

from ..looking.test_headview import OffGrid
from ..looking.vits import facts, vit
from .browser import NEEDED, Opened, opening, planted
from .heads_views import viewed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = NEEDED


@pytest.fixture(scope="module")
def view(dinov2: nn.Module) -> HeadView:
    return view_heads(["sample:coffee", "sample:chelsea"], HeadSettings(patches=200), given=dinov2)


@pytest.fixture(scope="module")
def report(view: HeadView, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(view, tmp_path_factory.mktemp("heads"))


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Opened]:
    with opening(browser, report) as opened:
        yield opened


@pytest.fixture(scope="module")
def hooked(dinov2: nn.Module) -> rg.Record:
    with torch.inference_mode(), rg.watch(dinov2, keep="probs") as record:
        dinov2(rg.image("sample:coffee", like=dinov2, patches=200))
    return record


READ = """async () => {
  const out = {};
  for (const [name, e] of regard.exact.heads) {
    const rows = [];
    for (let i = 0; i < e.tokens; i += 7) rows.push([i, Array.from(regard.exact.attention(e, i))]);
    const pairs = [[0, 0], [3, 50], [101, 7]].map(([i, j]) => {
      let sum = 0;
      for (let d = 0; d < e.width; d++) sum += regard.exact.product(e, i, j, d);
      return [i, j, sum, regard.exact.logit(e, i, j)];
    });
    out[name] = { site: e.site, rows, pairs };
  }
  return out;
}"""


def agrees(page: Opened, view: HeadView, hooked: rg.Record) -> None:
    """Rows of attention and sums of products that the page's script computes, against the watched call."""
    found = page.page.evaluate(READ)
    assert set(found) == {f"{e.layer}.{e.head}" for e in view.exacts}
    by_name = {f"{e.layer}.{e.head}": e for e in view.exacts}
    for name, one in found.items():
        head = by_name[name].head
        probs = hooked[one["site"]]["probs"][0, head].double().numpy()
        for i, row in one["rows"]:
            assert np.abs(np.array(row) - probs[i]).max() <= 1e-6
            assert sum(row) == pytest.approx(1, abs=1e-9)
        logits = by_name[name].logits()
        for i, j, products, logit in one["pairs"]:
            assert products == pytest.approx(logits[i, j], abs=1e-9)
            assert logit == pytest.approx(logits[i, j], abs=1e-9)


def test_the_script_computes_the_watched_attention(page: Opened, view: HeadView, hooked: rg.Record) -> None:
    agrees(page, view, hooked)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("return e.scale * e.q[i * e.width + d]", "return e.q[i * e.width + d]"),
        ("e.k[j * e.width + d]; }", "e.k[i * e.width + d]; }"),
        ("row[e.places[at] - i * e.tokens] = e.kept[at];", "row[e.places[at] - i * e.tokens] += 1e-5;"),
    ],
)
def test_a_planted_fault_in_the_script_is_seen(
    browser: Browser, report: Path, tmp_path: Path, view: HeadView, hooked: rg.Record, right: str, wrong: str
) -> None:
    path = planted(report, tmp_path, lambda t: t.replace(right, wrong))
    with opening(browser, path) as one, pytest.raises(AssertionError):
        agrees(one, view, hooked)


def test_it_opens_on_the_chosen_head_at_the_middle_and_paints_it(
    page: Opened, view: HeadView, hooked: rg.Record
) -> None:
    assert view.chosen is not None
    seen = view.attention
    assert seen is not None
    layer, head = view.chosen
    y, x = seen.grid.h // 2, seen.grid.w // 2
    assert page.readout.startswith(f"The patch at row {y}, column {x}, layer {layer}, head {head}:")
    assert "In full precision." in page.readout
    values = hooked[seen.sites[layer]]["probs"][0, head, 1 + y * seen.grid.w + x, 1:].double().numpy()
    painted = page.colours("#heat")
    assert painted.shape == (seen.grid.h, seen.grid.w, 4)
    reach = np.sort(values)[int(0.995 * (len(values) - 1))]
    share = (painted[..., 3].ravel() / 255 / 0.85) ** 2
    np.testing.assert_allclose(share, np.minimum(1, values / reach), atol=0.012)
    assert page.told["most"] == pytest.approx(100 * values.max(), abs=0.006)


def test_thumbnails_are_all_heads_and_mark_the_exact_ones(page: Opened, view: HeadView) -> None:
    assert page.page.locator("#thumbs button").count() == 72
    marked = page.page.locator("#thumbs button.exact").evaluate_all("all => all.map(b => b.title)")
    assert sorted(marked) == sorted(f"layer {e.layer}, head {e.head}" for e in view.exacts)


def test_other_heads_are_shown_by_cells_and_have_no_products(page: Opened, view: HeadView) -> None:
    exact = {(e.layer, e.head) for e in view.exacts}
    layer, head = next((a, b) for a in range(12) for b in range(6) if (a, b) not in exact)
    page.page.click(f"#thumbs button[title='layer {layer}, head {head}']")
    assert "In full precision" not in page.readout
    assert "Choose one of the" in page.page.inner_text("#neuron-told")
    assert page.page.locator("#neurons").is_hidden()
    assert page.page.locator("#key-cursor").is_hidden()


def test_the_neuron_view_tells_the_products_of_the_pair(page: Opened, view: HeadView) -> None:
    one, seen = view.exacts[0], view.attention
    assert seen is not None
    i = int(page.page.get_attribute("#neuron-told", "data-query") or -1)
    j = int(page.page.get_attribute("#neuron-told", "data-key") or -1)
    assert i == 1 + (seen.grid.h // 2) * seen.grid.w + seen.grid.w // 2
    assert j == int(one.attention()[i].argmax()), "the strongest key, unless one is chosen"
    told = float(page.page.get_attribute("#neuron-told", "data-sum") or "nan")
    assert told == pytest.approx(one.logits()[i, j], abs=1e-9)
    assert page.page.locator("#neurons rect.product").count() == 64
    assert one.q is not None
    assert one.k is not None
    products = one.scale * one.q[i].astype(float) * one.k[j].astype(float)
    bars = page.page.locator("#neurons rect.product")
    heights = bars.evaluate_all("all => all.map(r => Number(r.getAttribute('height')))")
    np.testing.assert_allclose(np.array(heights) / 33, np.abs(products) / np.abs(products).max(), atol=1e-6)
    below = bars.evaluate_all("all => all.map(r => r.classList.contains('minus'))")
    assert below == (products < 0).tolist()


def test_a_key_can_be_chosen_on_the_photo_and_let_go(page: Opened, view: HeadView) -> None:
    seen = view.attention
    assert seen is not None
    meta = {"patchesAcross": seen.grid.w, "patchesDown": seen.grid.h}
    before = page.readout
    page.page.click("#pick-key")
    assert page.pressed("#pick-key")
    page.page.mouse.click(*page.at(2, 3, meta))
    assert not page.pressed("#pick-key")
    assert page.readout == before, "the query stays"
    assert page.page.get_attribute("#neuron-told", "data-key") == str(1 + 2 * seen.grid.w + 3)
    assert "key row 2, column 3." in page.page.inner_text("#neuron-told")
    box, stage = page.page.locator("#key-cursor").bounding_box(), page.page.locator("#stage").bounding_box()
    assert box
    assert stage
    assert box["x"] - stage["x"] == pytest.approx(3 / seen.grid.w * stage["width"], abs=1)
    page.page.mouse.click(*page.at(5, 5, meta))
    assert "row 5, column 5" in page.readout, "the next click chooses a query again"
    page.page.click("#strongest-key")
    assert "the one it looks at most" in page.page.inner_text("#neuron-told")


def test_links_end_at_the_strongest_keys(page: Opened, view: HeadView, hooked: rg.Record) -> None:
    one, seen = view.exacts[0], view.attention
    assert seen is not None
    ends = page.page.locator("#links line").evaluate_all(
        "all => all.map(l => ['x2', 'y2'].map(a => Number(l.getAttribute(a))))"
    )
    y, x = seen.grid.h // 2, seen.grid.w // 2
    values = hooked[one.address]["probs"][0, one.head, 1 + y * seen.grid.w + x, 1:]
    best = values.argsort(descending=True)[:3].tolist()
    assert [tuple(end) for end in ends[:3]] == [(k % seen.grid.w + 0.5, k // seen.grid.w + 0.5) for k in best]
    page.page.uncheck("#show-links")
    assert page.page.locator("#links").is_hidden()


def test_arrows_move_by_one_patch_in_an_exact_head(page: Opened, view: HeadView) -> None:
    assert view.attention is not None
    y, x = view.attention.grid.h // 2, view.attention.grid.w // 2
    page.page.focus("#stage")
    page.page.keyboard.press("ArrowRight")
    assert page.readout.startswith(f"The patch at row {y}, column {x + 1},")
    page.page.keyboard.press("c")
    assert page.readout.startswith("CLS, layer")
    assert page.page.get_attribute("#neuron-told", "data-query") == "0"


def test_a_head_of_a_group_can_be_picked(page: Opened) -> None:
    page.page.click("[data-pick='3.4']")
    assert "layer 3, head 4:" in page.readout
    assert page.pressed("#thumbs button[title='layer 3, head 4']")


def test_the_plane_shows_the_joints_points_and_follows_the_photo(page: Opened, view: HeadView) -> None:
    joint = view.joints[0]
    found = np.array(page.page.evaluate("Array.from(regard.joint.places)")).reshape(len(view.joints), -1, 2)
    np.testing.assert_allclose(found, [j.points for j in view.joints], rtol=1e-6)
    told = page.page.inner_text("#plane-numbers")
    assert f"{joint.correlation['scaled too']:.2f}".replace("-", "\N{MINUS SIGN}") in told
    assert f"c = {joint.scale:.2f}" in told
    assert view.attention is not None
    grid = view.attention.grid
    assert page.page.inner_text("#plane-told").startswith(f"Query: row {grid.h // 2}, column {grid.w // 2} of coffee.")
    page.page.select_option("#plane-head", "1")
    assert f"c = {view.joints[1].scale:.2f}" in page.page.inner_text("#plane-numbers")
    for colour in ("patch", "row", "column", "photo", "kind"):
        before = page.page.evaluate("document.getElementById('plane').toDataURL()")
        page.page.select_option("#plane-colour", colour)
        assert page.page.evaluate("document.getElementById('plane').toDataURL()") != before


def test_pointing_at_a_point_names_its_patch(page: Opened, view: HeadView) -> None:
    page.page.locator("#plane").scroll_into_view_if_needed()
    half = len(view.joints[0].points) // 2
    page.page.evaluate(f"regard.joint.show({half + 3})")
    joint = view.joints[0]
    row, column = divmod(int(joint.token[half + 3]) - 1, joint.grids[0].w)
    assert page.page.inner_text("#plane-told").startswith(f"Key: row {row}, column {column} of coffee.")
    assert page.page.locator("#plane-card").is_visible()
    page.page.evaluate("regard.joint.show(-1)")
    assert page.page.locator("#plane-card").is_hidden()


@pytest.mark.parametrize("width", [320, 390, 700, 1000, 1700])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_width_scrolls_sideways(browser: Browser, report: Path, width: int, scheme: str) -> None:
    with opening(browser, report, viewport={"width": width, "height": 900}, color_scheme=scheme) as one:
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_can_choose_heads_patches_and_keys(browser: Browser, report: Path, view: HeadView) -> None:
    with opening(browser, report, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as one:
        assert view.attention is not None
        meta = {"patchesAcross": view.attention.grid.w, "patchesDown": view.attention.grid.h}
        one.page.touchscreen.tap(*one.at(4, 6, meta))
        assert one.readout.startswith("The patch at row 4, column 6")
        one.page.tap("#pick-key")
        one.page.touchscreen.tap(*one.at(1, 1, meta))
        assert "key row 1, column 1." in one.page.inner_text("#neuron-told")


def test_pages_of_other_models_open_too(browser: Browser, tmp_path: Path) -> None:
    for at, model in enumerate((vit(size=(20, 28)), remember(OffGrid().eval(), facts("off-grid")))):
        path = write(viewed(model), tmp_path / str(at))
        with opening(browser, path, check=at == 0) as one:
            assert one.wrong == []
            assert one.page.locator(".atlas table").count() == 1


def test_without_javascript_tables_and_pictures_stay(browser: Browser, report: Path) -> None:
    with opening(browser, report, check=False, java_script_enabled=False) as one:
        assert one.page.locator("noscript p").is_visible()
        assert one.page.locator(".atlas table").count() == 2
        assert one.page.locator("#neuron-view").is_hidden()
        assert one.page.locator(".kinds .pair img").count() == 12
        assert one.wrong == []


def test_damaged_heads_are_said(browser: Browser, report: Path, tmp_path: Path) -> None:
    def change(text: str) -> str:
        start = text.index('id="exact-data">') + 900
        return text[:start] + text[text.index("</script>", start) :]

    with opening(browser, planted(report, tmp_path, change), check=False) as one:
        one.page.wait_for_function("document.getElementById('readout').textContent.includes('damaged')")
        assert one.page.evaluate("document.documentElement.dataset.ready") is None
