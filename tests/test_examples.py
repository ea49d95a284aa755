"""Every example runs, and so does every Python block of the README and of docs/*.md, and says what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

import regard as rg

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n?```text\n(?P<said>.*?)^```\n)?", re.M | re.S)
BETWEEN = "\x1e"  # printed after each block; no page prints it


class Block(NamedTuple):
    """Python of a page, and the ```text right below it: what it prints. None: anything."""

    code: str
    said: str | None


def blocks(page: str) -> list[Block]:
    return [Block(found["code"], found["said"]) for found in BLOCK.finditer(page)]


def run(page: list[Block], where: Path) -> list[str]:
    """What each block prints; they run one after another, in one process of their own."""
    program = "".join(f"{block.code}\nprint({BETWEEN!r})\n" for block in page)
    script = where / "page.py"
    script.write_text(program, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], cwd=where, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split(f"{BETWEEN}\n")[:-1]


PAGES = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if blocks(path.read_text("utf-8"))
]


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


def test_the_readme_shows_the_tested_lines(root: Path) -> None:
    code = (root / "examples" / "ten_lines.py").read_text(encoding="utf-8").split('"""', 2)[2].strip()
    assert code in (root / "README.md").read_text(encoding="utf-8")


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_page_runs_and_prints_what_it_says(path: Path, tmp_path: Path) -> None:
    page = blocks(path.read_text(encoding="utf-8"))
    printed = run(page, tmp_path)
    for block, got in zip(page, printed, strict=True):
        if block.said is not None:
            assert got == block.said, block.code


def test_pages_are_read_and_can_fail(tmp_path: Path) -> None:
    page = blocks(
        "a\n```python\nx = 1\nprint(x)\n```\n\n```text\n1\n```\n```bash\nls\n```\n```python\nprint(x + 1)\n```\n"
    )
    assert page == [Block("x = 1\nprint(x)\n", "1\n"), Block("print(x + 1)\n", None)]
    assert run(page, tmp_path) == ["1\n", "2\n"]
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run([Block("1 / 0\n", None)], tmp_path)


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    drawn = tmp_path / "drawn.png"
    script = ROOT / "docs" / "figures" / "how_it_sees.py"
    subprocess.run([sys.executable, "-W", "error::UserWarning", str(script), str(drawn)], check=True, timeout=300)
    sizes = []
    for path in (drawn, ROOT / "docs" / "images" / "how-it-sees.png"):
        with Image.open(path) as picture:
            sizes.append(picture.size)
    assert sizes == [(1600, 960)] * 2


def test_every_error_is_told_with_a_text_that_was_raised() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    printed = "".join(block.said or "" for block in blocks(text))
    for error in rg.errors.RegardError.__subclasses__():
        assert f"\n## {error.__name__}\n" in text
        assert f"\n{error.__name__}: " in f"\n{printed}"
        assert f"|- {error.__name__} ({error.__bases__[1].__name__})" in text.replace("`- ", "|- ")


def test_every_edit_is_in_the_table() -> None:
    text = (ROOT / "docs" / "how-it-sees.md").read_text(encoding="utf-8")
    table = text.partition("| edit |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)\(", table)) == set(rg.edits.__all__)


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_links_of_pages_lead_somewhere() -> None:
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            if "://" not in link:
                name, _, place = link.partition("#")
                target = path.parent / name if name else path
                assert target.exists(), f"{path.name}: {link}"
                headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M) if place else []
                assert not place or place in map(anchor, headings), f"{path.name}: {link}"
