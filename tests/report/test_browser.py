"""The page in Chromium, from a file, offline: what is painted and told is the attention of the arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib import colormaps

from regard.looking.attention import Attention

if TYPE_CHECKING:
    from playwright.sync_api import Browser

from .browser import CELL, NEEDED, Opened, agrees, opening

pytestmark = NEEDED


@pytest.fixture
def page(browser: Browser, dinov2_report: Path) -> Iterator[Opened]:
    with opening(browser, dinov2_report) as opened:
        yield opened


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
