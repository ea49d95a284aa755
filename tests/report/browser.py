"""A page in Chromium, and everything that it shows and that goes wrong on it."""

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

from regard.looking.attention import Attention
from regard.report.payload import table

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

NEEDED = [  # marks of a test that opens a page
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path (apt install chromium)"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="the package playwright is missing"),
]

CELL = "The 2 \N{MULTIPLICATION SIGN} 2 patches"


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


def planted(report: Path, folder: Path, change: Callable[[str], str]) -> Path:
    text = report.read_text(encoding="utf-8")
    changed = change(text)
    assert changed != text
    path = folder / "planted.html"
    path.write_text(changed, encoding="utf-8")
    return path
