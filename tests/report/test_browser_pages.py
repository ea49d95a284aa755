"""Pages in Chromium of other widths, of other models, without JavaScript, damaged, and with planted faults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from regard.looking.attention import Attention
from regard.report import html
from regard.report.payload import encode
from regard.report.pictures import Drawn

from ..looking.vits import vit, without_prefix
from .conftest import Render

if TYPE_CHECKING:
    from playwright.sync_api import Browser

from .browser import CELL, NEEDED, agrees, opening, planted

pytestmark = NEEDED


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
