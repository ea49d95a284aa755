"""The page over many reports: a picture, a sentence and a tally each, or why a photo failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regard.report.index import write_index

from .pages import Page

GOOD: dict[str, Any] = {
    "name": "cup.jpg",
    "href": "cup/report.html",
    "thumbnail": "data:image/jpeg;base64,AAAA",
    "lead": "The model calls it espresso (95 %).",
    "counts": {"good": 4, "note": 2, "warn": 1},
}


def test_each_photo_leads_to_its_report(tmp_path: Path) -> None:
    path = write_index(tmp_path, [GOOD, GOOD | {"name": "b.jpg", "href": "b/report.html"}])
    assert path == tmp_path / "index.html"
    page = Page(path.read_text(encoding="utf-8"))
    links = [attrs["href"] for attrs in page.all("a")]
    assert links == ["cup/report.html"] * 2 + ["b/report.html"] * 2
    assert [attrs["alt"] for attrs in page.all("img")] == ["cup.jpg", "b.jpg"]
    assert "The model calls it espresso (95 %)." in page.shown
    assert "✓ 4 • 2 ! 1" in page.shown
    assert "".join(page.texts["h1"]) == "2 photos"


def test_a_failed_photo_is_named_with_its_reason(tmp_path: Path) -> None:
    page = Page(write_index(tmp_path, [GOOD, {"name": "torn.jpg", "error": "cut short"}]).read_text(encoding="utf-8"))
    assert "torn.jpg" in page.shown
    assert "cut short" in page.shown
    assert len(page.all("img")) == 1


def test_hostile_names_stay_text_and_nothing_is_fetched(tmp_path: Path) -> None:
    name = '<script>alert(1)</script>"onload=x.png'
    page = Page(
        write_index(tmp_path, [GOOD | {"name": name, "lead": name}, {"name": name, "error": name}]).read_text("utf-8")
    )
    assert not page.all("script")
    assert page.all("img")[0]["alt"] == name
    assert page.shown.count("<script>alert(1)</script>") == 4
    assert all(a.startswith(("data:", "cup/")) for a in page.addresses())


def test_the_index_is_replaced_whole(tmp_path: Path) -> None:
    write_index(tmp_path, [GOOD] * 3)
    write_index(tmp_path, [GOOD])
    assert [p.name for p in tmp_path.iterdir()] == ["index.html"]
    assert "1 photo" in (tmp_path / "index.html").read_text(encoding="utf-8")
