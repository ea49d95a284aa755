"""The catalogue says what the code and the tests say, and no more."""

from __future__ import annotations

import json
from pathlib import Path

from regard import bibliography
from regard.registry import FAMILIES, cards
from regard.testing.catalogue import PACKAGE, as_text, build, main, works_marks


def test_the_checked_in_file_is_fresh() -> None:
    assert (PACKAGE / "catalogue.json").read_text(encoding="utf-8") == as_text(build())
    assert main(["--check"]) == 0


def test_every_method_is_listed_with_its_facts() -> None:
    listed = {(c["family"], c["name"]): c for c in build()["methods"]}
    own = {(f, n) for f in FAMILIES for n, c in cards(f).items() if c.function.__module__.startswith("regard.")}
    assert set(listed) == own
    for facts in listed.values():
        assert all(facts[name] for name in ("paper", "claim", "source", "differs", "unit", "summary", "doc", "gives"))
        bibliography.paper(facts["paper"])  # cites a row that exists
    json.dumps(build(), allow_nan=False)


def test_works_marks_are_read_from_the_source(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "works"
    folder.mkdir(parents=True)
    (folder / "test_a.py").write_text(
        "@works('one')\ndef test_x(): ...\n@works('two')\n@works('one')\ndef test_y(): ...\ndef test_z(): ...\n"
        "@other('three')\ndef test_w(): ...\n"
    )
    assert works_marks(tmp_path / "tests") == {
        "one": ["tests/works/test_a.py::test_x", "tests/works/test_a.py::test_y"],
        "two": ["tests/works/test_a.py::test_y"],
    }


def test_a_claim_that_no_test_backs_is_caught(tmp_path: Path) -> None:
    """The planted fault: a catalogue that says a paper works without a test."""
    boasting = build()
    boasting["works"] = {**boasting["works"], "saco": ["tests/works/test_saco.py::test_it"]}
    assert as_text(boasting) != as_text(build())
    for tests in build()["works"].values():
        for test in tests:
            assert (PACKAGE.parents[1] / test.split("::")[0]).exists()
