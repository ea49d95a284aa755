"""The page in Chromium, from a file, offline: what is painted and told is the attention of the arrays."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib import colormaps

from regard.looking.attention import Attention
from regard.looking.look import Look
from regard.report import html
from regard.report.payload import encode, table
from regard.report.pictures import Drawn

from ..looking.vits import vit, without_prefix
from .conftest import Render

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path (apt install chromium)"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="the package playwright is missing"),
]

CELL = "The 2 \N{MULTIPLICATION SIGN} 2 patches"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


class Opened:
    """A page with everything that went wrong on it, and the words and colours it shows."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("console", lambda m: self.wrong.append(f"{m.type}: {m.text}") if m.type != "log" else None)
        page.on("pageerror", lambda e: self.wrong.append(f"error: {e}"))
        page.on("request", lambda r: r.url.startswith(("file:", "data:", "blob:")) or self.wrong.append(r.url))

    @property
    def readout(self) -> str:
        return self.page.inner_text("#readout")

    @property
    def told(self) -> dict[str, float]:
        """The numbers of the readout."""
        found = re.search(r": (\d+) % of its .*Most on row (\d+), column (\d+) \((\d+\.\d+) %\)", self.readout)
        assert found, self.readout
        return dict(zip(("landed", "row", "column", "most"), map(float, found.groups()), strict=True))

    def colours(self, selector: str) -> np.ndarray:
        """Pixels of a canvas `[h, w, 4]`."""
        read = """c => {
          const copy = document.createElement("canvas");  // reading the page's own canvas would make Chromium warn
          copy.width = c.width; copy.height = c.height;
          const context = copy.getContext("2d", { willReadFrequently: true });
          context.drawImage(c, 0, 0);
          return [c.height, c.width, Array.from(context.getImageData(0, 0, c.width, c.height).data)];
        }"""
        h, w, data = self.page.eval_on_selector(selector, read)
        return np.array(data, dtype=int).reshape(h, w, 4)

    def at(self, row: float, column: float, meta: dict[str, Any]) -> tuple[float, float]:
        """Where the middle of a patch lies on the screen."""
        self.page.locator("#stage").scroll_into_view_if_needed()
        box = self.page.locator("#stage").bounding_box()
        assert box
        x = box["x"] + (column + 0.5) / meta["patchesAcross"] * box["width"]
        return x, box["y"] + (row + 0.5) / meta["patchesDown"] * box["height"]

    def pressed(self, selector: str) -> bool:
        return self.page.get_attribute(selector, "aria-pressed") == "true"


@contextmanager
def opening(browser: Browser, path: Path, *, check: bool = True, **options: Any) -> Iterator[Opened]:
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 1000}} | options))
    try:
        opened = Opened(context.new_page())
        opened.page.goto(path.as_uri())
        if check:
            opened.page.wait_for_function("document.documentElement.dataset.ready === 'yes'", timeout=20_000)
        yield opened
        if check:
            assert opened.wrong == []
    finally:
        context.close()


@pytest.fixture
def page(browser: Browser, dinov2_report: Path) -> Iterator[Opened]:
    with opening(browser, dinov2_report) as opened:
        yield opened


@pytest.fixture(scope="module")
def seen(dinov2_look: Look) -> Attention:
    assert dinov2_look.attention is not None
    return dinov2_look.attention


@pytest.fixture(scope="module")
def meta(seen: Attention) -> dict[str, Any]:
    return encode(seen).header


def agrees(
    opened: Opened, seen: Attention, meta: dict[str, Any], *, query: int, layer: int, head: int | None = None
) -> None:
    """Readout and colours against the arrays, within the levels that each head's values are kept to."""
    rows = table(seen)[layer, :, query].astype(float)
    rows = rows if head is None else rows[head : head + 1]
    values, allowed = rows.mean(0), float(rows.max(1).mean()) / meta["levels"]
    told, top = opened.told, float(values.max())
    assert told["landed"] == pytest.approx(100 * values.sum(), abs=0.51)
    assert told["most"] == pytest.approx(100 * top, abs=100 * allowed + 0.006)
    strongest = values[int(told["row"]) * meta["w"] + int(told["column"])]
    assert strongest >= top - 2 * allowed, "the place it names is (as good as) the strongest"
    ordered = np.sort(values)
    reach = ordered[int(0.995 * (len(values) - 1))]
    unit = np.minimum(1, values / reach)
    painted = opened.colours("#heat")
    assert painted.shape == (meta["h"], meta["w"], 4)
    share = (painted[..., 3].ravel() / 255 / 0.85) ** 2  # opacity is strength * sqrt(share of the range)
    np.testing.assert_allclose(share, unit, atol=2 * allowed / reach + 0.012)


def test_the_page_opens_without_errors_or_requests_and_starts_at_cls(
    page: Opened, seen: Attention, meta: dict[str, Any]
) -> None:
    assert page.readout.startswith("CLS, layer 11, mean of heads:")
    agrees(page, seen, meta, query=-1, layer=11)
    assert page.page.locator("#cursor").is_hidden()
    assert page.pressed("#cls")
    assert page.pressed("[data-head='-1']")


def test_every_picture_can_be_decoded(page: Opened) -> None:
    broken = page.page.evaluate(
        """async () => { const bad = [];
        for (const i of document.images) {
          i.loading = "eager"; await i.decode().catch(() => bad.push(i.alt));
          if (!i.naturalWidth) bad.push(i.alt);
        }
        return bad; }"""
    )
    assert broken == []


@pytest.mark.parametrize(("row", "column"), [(3, 4), (19, 29), (0, 0)])
def test_hovering_shows_where_that_patch_looks(
    page: Opened, seen: Attention, meta: dict[str, Any], row: int, column: int
) -> None:
    before = page.page.evaluate("heat.toDataURL()"), page.readout
    page.page.mouse.move(*page.at(10, 15, meta))
    middle = page.page.evaluate("heat.toDataURL()"), page.readout
    page.page.mouse.move(*page.at(row, column, meta))
    after = page.page.evaluate("heat.toDataURL()"), page.readout
    assert len({before, middle, after}) == 3
    cell = meta["cell"]
    query = row // cell * meta["cellsAcross"] + column // cell
    assert page.readout.startswith(f"{CELL} at row {row // cell * cell}, column {column // cell * cell}, layer 11")
    agrees(page, seen, meta, query=query, layer=11)


def test_the_cursor_frames_the_cell_under_the_mouse(page: Opened, meta: dict[str, Any]) -> None:
    x, y = page.at(7, 12, meta)
    page.page.mouse.move(x, y)
    box, stage = page.page.locator("#cursor").bounding_box(), page.page.locator("#stage").bounding_box()
    assert box
    assert stage
    assert box["x"] <= x <= box["x"] + box["width"]
    assert box["y"] <= y <= box["y"] + box["height"]
    assert box["width"] == pytest.approx(meta["cell"] / meta["patchesAcross"] * stage["width"], abs=1)
    assert box["height"] == pytest.approx(meta["cell"] / meta["patchesDown"] * stage["height"], abs=1)


def test_the_heat_lies_on_the_photo(page: Opened) -> None:
    boxes = [page.page.locator(s).bounding_box() for s in ("#heat", "#stage img")]
    for side in ("x", "y", "width", "height"):
        assert boxes[0]
        assert boxes[1]
        assert boxes[0][side] == pytest.approx(boxes[1][side], abs=1)


def test_thumbnails_show_all_layers_and_heads_and_choose_one(
    page: Opened, seen: Attention, meta: dict[str, Any]
) -> None:
    assert page.page.locator("#thumbs button").count() == 12 * 6
    colours = (colormaps["inferno"](np.arange(256))[:, :3] * 255).astype(np.uint8).astype(int)
    for layer, head in ((0, 0), (3, 4), (11, 5)):
        values = seen.rows[layer, head, 1:]
        unit = np.minimum(1, values / np.sort(values)[int(0.995 * (len(values) - 1))])
        painted = page.colours(f"#thumbs button[title='layer {layer}, head {head}'] canvas")[..., :3].reshape(-1, 3)
        near = np.abs(painted[:, None] - colours).sum(-1).argmin(1) / 255
        assert np.abs(near - unit).max() <= 2.5 * values.max() / np.sort(values)[-4] / meta["levels"] + 0.02
    page.page.click("#thumbs button[title='layer 3, head 4']")
    assert page.readout.startswith("CLS, layer 3, head 4:")
    agrees(page, seen, meta, query=-1, layer=3, head=4)
    assert page.pressed("#thumbs button[title='layer 3, head 4']")
    assert page.pressed("[data-head='4']")
    assert page.page.input_value("#layer") == "3"
    assert page.page.inner_text("#layer-name") == "3"


def test_thumbnails_are_one_stop_for_tab_and_arrows_move_among_them(page: Opened) -> None:
    def stops() -> list[str]:
        return page.page.locator("#thumbs button[tabindex='0']").evaluate_all("all => all.map(b => b.title)")

    assert stops() == ["layer 11, head 0"], "the mean of heads stands at the first"
    page.page.focus("#thumbs button[tabindex='0']")
    for key, title in (
        ("ArrowUp", "layer 10, head 0"),
        ("ArrowRight", "layer 10, head 1"),
        ("ArrowDown", "layer 11, head 1"),
        ("ArrowDown", "layer 11, head 1"),
        ("ArrowLeft", "layer 11, head 0"),
        ("ArrowLeft", "layer 11, head 0"),
    ):
        page.page.keyboard.press(key)
        assert stops() == [title]
        assert page.page.evaluate("document.activeElement.title") == title
        assert page.pressed(f"#thumbs button[title='{title}']")
    assert page.readout.startswith("CLS, layer 11, head 0:")


def test_the_keyboard_does_everything(page: Opened, seen: Attention, meta: dict[str, Any]) -> None:
    keys = page.page.keyboard
    for _ in range(8):
        keys.press("Tab")
        if page.page.evaluate("document.activeElement.id") == "stage":
            break
    else:
        pytest.fail("Tab does not reach the photo")
    cell, across = meta["cell"], meta["cellsAcross"]
    y, x = meta["cellsDown"] // 2, across // 2
    for key, dy, dx in (("ArrowRight", 0, 1), ("ArrowDown", 1, 0), ("ArrowLeft", 0, -1), ("ArrowUp", -1, 0)):
        keys.press(key)
        y, x = y + dy, x + dx
        assert page.readout.startswith(f"{CELL} at row {y * cell}, column {x * cell}, layer 11, mean of heads")
        agrees(page, seen, meta, query=y * across + x, layer=11)
    keys.press("4")
    keys.press("PageDown")
    assert "layer 10, head 4:" in page.readout
    agrees(page, seen, meta, query=y * across + x, layer=10, head=4)
    keys.press("9")
    assert "head 4:" in page.readout, "there is no head 9"
    keys.press("PageUp")
    keys.press("PageUp")
    assert "layer 11, head 4:" in page.readout
    keys.press("c")
    assert page.readout.startswith("CLS, layer 11, head 4:")
    keys.press("M")
    agrees(page, seen, meta, query=-1, layer=11)


def test_arrows_stop_at_the_edge(page: Opened, meta: dict[str, Any]) -> None:
    page.page.focus("#stage")
    for _ in range(meta["cellsAcross"] + 3):
        page.page.keyboard.press("ArrowLeft")
    for _ in range(meta["cellsDown"] + 3):
        page.page.keyboard.press("ArrowUp")
    assert page.readout.startswith(f"{CELL} at row 0, column 0,")


def test_the_browsers_own_keys_are_left_to_it(page: Opened) -> None:
    page.page.mouse.move(5, 5)
    page.page.focus("#stage")
    page.page.keyboard.press("ArrowRight")
    before = page.readout
    for key in ("Control+c", "Alt+1", "Meta+m"):
        page.page.keyboard.press(key)
    assert page.readout == before


def test_a_click_pins_and_lets_go(page: Opened, meta: dict[str, Any]) -> None:
    mouse = page.page.mouse
    mouse.click(*page.at(6, 8, meta))
    assert page.readout.endswith("Pinned: click the patch again or press Enter to let go.")
    pinned = page.readout
    mouse.move(*page.at(12, 20, meta))
    assert page.readout == pinned
    mouse.click(*page.at(12, 20, meta))
    assert page.readout.startswith(f"{CELL} at row 12, column 20")
    assert "Pinned" in page.readout
    page.page.keyboard.press("Enter")
    assert "Pinned" not in page.readout
    mouse.move(*page.at(6, 8, meta))
    assert page.readout.startswith(f"{CELL} at row 6, column 8")
    page.page.click("#cls")
    assert page.readout.startswith("CLS")
    assert "Pinned" not in page.readout


def test_strength_layer_and_smoothing_follow_their_controls(
    page: Opened, seen: Attention, meta: dict[str, Any]
) -> None:
    page.page.fill("#layer", "2")
    agrees(page, seen, meta, query=-1, layer=2)
    page.page.click("[data-head='1']")
    agrees(page, seen, meta, query=-1, layer=2, head=1)
    page.page.fill("#strength", "0")
    assert not page.colours("#heat")[..., 3].any()
    style = "getComputedStyle(heat).imageRendering"
    assert page.page.evaluate(style) == "pixelated"
    page.page.check("#smooth")
    assert page.page.evaluate(style) == "auto"


def test_a_phone(browser: Browser, dinov2_report: Path, meta: dict[str, Any]) -> None:
    with opening(browser, dinov2_report, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as one:
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 390
        before = one.page.evaluate("heat.toDataURL()")
        one.page.touchscreen.tap(*one.at(8, 14, meta))
        assert one.readout.startswith(f"{CELL} at row 8, column 14")
        assert one.page.evaluate("heat.toDataURL()") != before
        one.page.tap("#thumbs button[title='layer 5, head 2']")
        assert "layer 5, head 2" in one.readout


@pytest.mark.parametrize("width", [320, 700, 1000, 1700])
def test_no_width_scrolls_sideways(browser: Browser, dinov2_report: Path, width: int) -> None:
    with opening(browser, dinov2_report, viewport={"width": width, "height": 900}) as one:
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_javascript_the_pictures_stay(browser: Browser, dinov2_report: Path) -> None:
    with opening(browser, dinov2_report, check=False, java_script_enabled=False) as one:
        assert one.page.locator("#stage img").is_visible()
        assert one.page.locator(".heads img").count() == 12
        assert one.page.locator("noscript p").is_visible()
        assert one.page.locator(".controls").is_hidden()
        assert one.readout == ""
        assert one.page.locator(".atlas table").count() == 4
        assert one.wrong == []


def test_a_model_without_prefix_starts_at_the_first_patch(browser: Browser, looked: Render, tmp_path: Path) -> None:
    look = looked(without_prefix())
    assert look.attention is not None
    path = tmp_path / "page.html"
    path.write_text(html.render(Drawn(look)), encoding="utf-8")
    with opening(browser, path) as one:
        assert one.readout.startswith("The patch at row 0, column 0, layer 2, mean of heads: 100 %")
        assert "goes to CLS" not in one.readout
        assert one.page.locator("#cls").count() == 0
        before = one.readout
        one.page.focus("#stage")
        one.page.keyboard.press("c")
        assert one.readout == before
        agrees(one, look.attention, encode(look.attention).header, query=0, layer=2)


def test_pooled_keys_stay_in_their_places(
    browser: Browser, looked: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7 columns in cells of 4 make 2 columns of colours, the second of which hangs over the edge."""
    look = looked(vit(size=(20, 28)))
    monkeypatch.setattr(html, "encode", lambda seen: encode(seen, 0))
    path = tmp_path / "page.html"
    path.write_text(html.render(Drawn(look)), encoding="utf-8")
    with opening(browser, path) as one:
        heat, stage = one.page.locator("#heat").bounding_box(), one.page.locator("#stage").bounding_box()
        assert heat
        assert stage
        assert one.colours("#heat").shape == (2, 2, 4)
        assert heat["width"] == pytest.approx(stage["width"] * 8 / 7, abs=1)
        assert heat["height"] == pytest.approx(stage["height"] * 8 / 5, abs=1)
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert one.told["column"] in (0, 4)


def planted(report: Path, folder: Path, change: Callable[[str], str]) -> Path:
    text = report.read_text(encoding="utf-8")
    changed = change(text)
    assert changed != text
    path = folder / "planted.html"
    path.write_text(changed, encoding="utf-8")
    return path


def test_damaged_data_is_said_and_the_rest_of_the_page_stands(
    browser: Browser, dinov2_report: Path, tmp_path: Path
) -> None:
    """The check of every test above would be red on such a page."""
    path = planted(dinov2_report, tmp_path, lambda t: re.sub(r"(id=\"payload-data\">.{9000})[^<]*", r"\1", t))
    with opening(browser, path, check=False) as one:
        one.page.wait_for_function("document.getElementById('readout').textContent.includes('damaged')")
        one.page.wait_for_timeout(100)
        assert any(text.startswith("error:") for text in one.wrong)
        assert one.page.evaluate("document.documentElement.dataset.ready") is None
        assert one.page.locator(".heads img").count() == 12


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("codes[base + k] * codes[base + k] * scale", "codes[base + k] * levels * scale"),
        ("(layer * H + i) * Q + query", "(layer * H + i) * Q + (query + 1) % Q"),
        ("sum += sums[at] / (to - from)", "sum += sums[at]"),
    ],
)
def test_a_planted_fault_in_the_script_is_seen(
    browser: Browser, dinov2_report: Path, tmp_path: Path, seen: Attention, meta: dict[str, Any], right: str, wrong: str
) -> None:
    path = planted(dinov2_report, tmp_path, lambda t: t.replace(right, wrong))
    with opening(browser, path) as one, pytest.raises(AssertionError):
        agrees(one, seen, meta, query=-1, layer=11)


def test_a_planted_request_is_seen(browser: Browser, dinov2_report: Path, tmp_path: Path) -> None:
    tag = '<img src="http://127.0.0.1:9/x.png" alt="x">'
    path = planted(dinov2_report, tmp_path, lambda t: t.replace("</header>", tag + "</header>"))
    with opening(browser, path, check=False) as one:
        one.page.wait_for_function("document.documentElement.dataset.ready === 'yes'")
        assert "http://127.0.0.1:9/x.png" in one.wrong
