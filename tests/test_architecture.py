"""The house as DESIGN draws it: who may import whom, how large things are, and that every file has its test."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import regard

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "regard"
FILES = sorted(SOURCE.rglob("*.py"))

BOTTOM = {"errors", "layout", "files", "progress"}
CORE = BOTTOM | {"registry", "results", "core"}
GIVEN = CORE | {"subjects"}
FAMILIES = {"probes", "edits", "explainers", "metrics", "objects", "operators"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "layout": {"errors"},
    "files": {"errors"},
    "progress": set(),
    "registry": {"errors"},
    "bibliography": {"errors", "registry"},
    "results": BOTTOM | {"viz"},  # results.plot() reaches viz inside the function
    "atlas": {"errors", "layout", "results", "viz"},  # results about heads
    "core": CORE,
    "mechanisms": CORE | {"mechanisms"},
    "models": CORE | {"models"},
    "subjects": GIVEN,
    **{family: GIVEN | {family} for family in FAMILIES},
    "gaze": GIVEN | {"gaze", "models"},  # a learned readout is one on the features of a network
    "concepts": {"errors", "registry", "concepts"},
    "claims": {"errors", "registry", "claims"},
    "patterns": CORE | {"patterns", "viz"},  # pattern.plot() reaches viz inside the function
    "softmax": CORE | {"patterns", "softmax"},
    "backbones": {"errors", "backbones"},
    "vlm": GIVEN | {"mechanisms", "vlm"},  # a decoder runs the model by itself
    "bench": CORE | {"patterns", "softmax", "bench", "viz"},  # bench.plot() reaches viz inside the function
    "runs": GIVEN | {"looking", "mechanisms", "models", "runs"},
    "looking": GIVEN | {"atlas", "mechanisms", "models", "looking"},
    "api_calls": GIVEN | {"mechanisms", "patterns", "softmax"},
    "api_heads": GIVEN | {"atlas", "looking"},
    "api_scores": GIVEN | {"api", "gaze", "models", "runs"},
    "api": GIVEN | {"bibliography", "mechanisms", "models", "looking"},
    "testing": GIVEN | {"bibliography", "gaze", "mechanisms", "models", "testing"},  # gaze: what a recording is
    "viz": {"atlas", "errors", "layout", "results", "viz"},
    "report": BOTTOM | {"atlas", "gaze", "results", "models", "looking", "runs", "viz", "report"},
    "cli": CORE
    | {
        "atlas",
        "bibliography",
        "api",
        "api_calls",
        "api_heads",
        "api_scores",
        "bench",
        "gaze",
        "looking",
        "report",
        "runs",
        "viz",
        "cli",
    },
    "__main__": {"cli"},
    "__init__": {
        "api",
        "api_calls",
        "api_heads",
        "api_scores",
        "atlas",
        "bench",
        "claims",
        "concepts",
        "errors",
        "gaze",
        "layout",
        "results",
        "core",
        "patterns",
        "subjects",
    }
    | FAMILIES,
}
# A family is found by name through the registry; nobody above imports one directly.
MAX_FILE, MAX_FUNCTION, MAX_CORE = 400, 60, 2170


def room(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0]


def imported_rooms(path: Path) -> set[str]:
    """Rooms of this package that a file imports, anywhere in it (also inside functions and for types only)."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            bare = node.module == "regard"
            names = [f"regard.{a.name}" if bare else node.module for a in node.names]
        else:
            continue
        found |= {n.split(".")[1] for n in names if n.startswith("regard.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    wrong = imported_rooms(path) - MAY_IMPORT[room(path)]
    assert not wrong, f"{room(path)} may not import {', '.join(sorted(wrong))}"


def test_the_import_test_can_fail(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from regard.cli import main\n    import regard.api\n")
    assert imported_rooms(bad) == {"cli", "api"}


def test_every_room_is_drawn_and_lived_in() -> None:
    rooms = {room(p) for p in FILES}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_sizes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{node.name} has {length} lines"


def test_tests_are_files_of_one_concept_too() -> None:
    lengths = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in (ROOT / "tests").rglob("*.py")}
    assert not {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > MAX_FILE}


def test_the_core_stays_small() -> None:
    total = sum(len(p.read_text(encoding="utf-8").splitlines()) for p in (SOURCE / "core").glob("*.py"))
    assert total <= MAX_CORE


def has_functions(path: Path) -> bool:
    return any(isinstance(n, ast.FunctionDef) for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


MIRRORED = [p for p in FILES if not p.name.startswith("__") and has_functions(p)]


@pytest.mark.parametrize("path", MIRRORED, ids=lambda p: str(p.relative_to(SOURCE)))
def test_every_file_has_its_mirror_test(path: Path) -> None:
    inside = path.relative_to(SOURCE)
    mirror = ROOT / "tests" / inside.parent / f"test_{inside.name}"
    assert mirror.exists(), f"{mirror.relative_to(ROOT)} is missing"


def test_public_names_are_the_checked_in_list() -> None:
    """A name that vanishes or appears has to edit this list."""
    listed = json.loads((ROOT / "tests" / "public_names.json").read_text(encoding="utf-8"))
    assert sorted(regard.__all__) == listed
    for name in listed:
        assert getattr(regard, name) is not None


def test_importing_regard_changes_nothing_and_loads_nothing_heavy() -> None:
    program = (
        "import sys, regard; "
        "heavy = {'torch', 'numpy', 'timm', 'matplotlib', 'PIL', 'skimage', 'scipy', 'rich'} & set(sys.modules); "
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
