"""papers.tsv and the catalogue: complete, in order, and saying no more than the methods and tests do."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from regard import bibliography, registry
from regard.bibliography import Paper, paper, papers, states
from regard.errors import MethodError
from regard.registry import FAMILIES, cards

CORE = [row for row in papers() if row.core]
CITED = [row for row in papers() if not row.core]
ALWAYS = ("key", "title", "year", "url", "family", "mechanism", "works_when")


def test_the_279_stand_in_order() -> None:
    assert [row.id for row in CORE] == [str(i) for i in range(279)]
    assert {row.id for row in CITED} == {"+"}
    assert papers() == CORE + CITED


def test_columns_are_the_fields_and_every_line_has_them(root: Path) -> None:
    lines = (root / "src" / "regard" / "papers.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t") == list(Paper.__dataclass_fields__)
    assert {line.count("\t") for line in lines} == {len(Paper.__dataclass_fields__) - 1}
    assert len(lines) == 1 + len(papers())


def test_keys_and_titles_are_unique() -> None:
    rows = papers()
    assert len({row.key for row in rows}) == len(rows)
    assert len({row.title.casefold() for row in rows}) == len(rows)
    assert [row.key for row in rows if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", row.key)] == []


@pytest.mark.parametrize("column", ALWAYS)
def test_promised_columns_are_filled(column: str) -> None:
    empty = [row.key for row in papers() if getattr(row, column).strip() in ("", "-", "?", "TODO")]
    assert empty == []


@pytest.mark.parametrize("row", papers(), ids=lambda row: row.key)
def test_row(row: Paper) -> None:
    assert row.year.isdigit()
    assert 1970 <= int(row.year) <= 2026
    assert re.fullmatch(r"https://[^\s\"<>]+", row.url)
    assert row.level in (("1", "2", "3") if row.core else ("-",))
    assert row.headline.strip()
    for text in (row.title, row.mechanism, row.works_when):
        assert text == text.strip()
        assert "  " not in text
        assert "\ufffd" not in text


def test_paper_by_key() -> None:
    assert paper("rollout").title == "Quantifying Attention Flow in Transformers"
    with pytest.raises(MethodError, match="no paper named 'rolout'") as caught:
        paper("rolout")
    assert "'rollout'" in caught.value.hint
    assert caught.value.hint.endswith("regard papers")


def test_every_method_cites_a_row() -> None:
    for family in FAMILIES:
        for card in cards(family).values():
            assert paper(card.paper).key == card.paper


def test_every_cited_row_is_cited() -> None:
    """Rows beside the 279 stand there because a method rests on them."""
    used = {card.paper for family in FAMILIES for card in cards(family).values()}
    assert [row.key for row in CITED if row.key not in used] == []


def test_states_say_what_the_catalogue_says() -> None:
    listed, found = registry.catalogue(), states()
    assert list(found) == [row.key for row in papers()]
    built = {card["paper"] for card in listed["methods"]}
    for key, (state, shown_by) in found.items():
        if key in listed["works"]:
            assert (state, shown_by) == ("works", listed["works"][key])
        elif key in built:
            assert state == "built"
            assert shown_by
            for name in shown_by:
                family, _, method = name.rpartition(".")
                assert cards(family)[method].paper == key
        else:
            assert (state, shown_by) == ("planned", [])


def test_tests_that_show_a_row_exist(root: Path) -> None:
    for key, tests in registry.catalogue()["works"].items():
        assert paper(key)
        for test in tests:
            file, _, name = test.partition("::")
            assert f"def {name}(" in (root / file).read_text(encoding="utf-8")


def test_states_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    listed: dict[str, Any] = {
        "methods": [
            {"family": "probes", "name": "b", "paper": "rise"},
            {"family": "metrics", "name": "a", "paper": "rise"},
            {"family": "explainers", "name": "rollout", "paper": "rollout"},
        ],
        "works": {"rollout": ["tests/works/test_x.py::test_y"], "lgvit": ["tests/works/test_z.py::test_z"]},
    }
    monkeypatch.setattr(bibliography, "catalogue", lambda: listed)
    found = states()
    assert found["rise"] == ("built", ["probes.b", "metrics.a"])
    assert found["rollout"] == ("works", ["tests/works/test_x.py::test_y"])
    assert found["lgvit"] == ("works", ["tests/works/test_z.py::test_z"])  # a test alone is enough
    assert found["gradcam"] == ("planned", [])


def test_quotes_in_titles_are_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that begins with a quotation mark must not swallow the lines after it."""
    fields = list(Paper.__dataclass_fields__)
    with (tmp_path / "papers.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
        writer.writerow(fields)
        writer.writerow(["0", "a", '"Open', *"xxxxxxx"])
        writer.writerow(["1", "b", "y", *"xxxxxxx"])
    monkeypatch.setattr(bibliography, "__file__", str(tmp_path / "bibliography.py"))
    assert [(row.key, row.title) for row in papers()] == [("a", '"Open'), ("b", "y")]


def test_the_catalogue_is_plain_and_needs_no_torch(root: Path) -> None:
    import subprocess
    import sys

    text = (root / "src" / "regard" / "catalogue.json").read_text(encoding="utf-8")
    assert set(json.loads(text)) == {"methods", "works"}
    program = "import sys; from regard import bibliography as b; b.states(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
