"""`catalogue.json`: what `regard list | card | papers` show, generated from the cards and the works-marks.

python -m regard.testing.catalogue            writes it anew
python -m regard.testing.catalogue --check    fails if it says anything else than the code and tests do
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

from regard import files
from regard.registry import FAMILIES, cards

PACKAGE = Path(__file__).resolve().parents[1]
TESTS = PACKAGE.parents[1] / "tests"


def build(tests: Path = TESTS) -> dict[str, Any]:
    """Cards of the methods that live in this package, and test names by paper key."""
    own = [card for family in FAMILIES for card in cards(family).values()]
    own = [card for card in own if card.function.__module__.startswith("regard.")]
    return {"methods": [card.to_dict() for card in sorted(own, key=_place)], "works": works_marks(tests)}


def _place(card: Any) -> tuple[str, str]:
    return card.family, card.name


def works_marks(tests: Path) -> dict[str, list[str]]:
    """Key -> tests in tests/works decorated with `@works("key")`, read from the source: nothing is run."""
    found: dict[str, list[str]] = {}
    for path in sorted((tests / "works").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                for key in filter(None, map(_works_key, node.decorator_list)):
                    found.setdefault(key, []).append(f"{path.relative_to(tests.parent).as_posix()}::{node.name}")
    return dict(sorted(found.items()))


def _works_key(decorator: ast.expr) -> str | None:
    if (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Name)
        and decorator.func.id == "works"
        and decorator.args
        and isinstance(decorator.args[0], ast.Constant)
    ):
        return str(decorator.args[0].value)
    return None


def as_text(catalogue: dict[str, Any]) -> str:
    """The file's text."""
    return json.dumps(catalogue, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main(arguments: list[str]) -> int:
    """Write, or compare; 0 if the file is as it should be."""
    path = PACKAGE / "catalogue.json"
    text = as_text(build())
    if "--check" in arguments:
        fresh = path.exists() and path.read_text(encoding="utf-8") == text
        sys.stderr.write("" if fresh else f"{path.name} is stale: python -m regard.testing.catalogue\n")
        return 0 if fresh else 1
    files.write_text(path, text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
