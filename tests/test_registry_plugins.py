"""How methods get in: files of a folder, entry points of other packages, a file that is dropped into a family."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

import regard as rg
from regard.errors import CardError
from regard.registry import FAMILIES, cards, collect

BESIDE = {"gaze.events": {"agreement", "samples"}, "gaze.foveation": {"matched_blur"}}  # data, judges, controls


def test_collect_binds_functions_over_modules() -> None:
    for family in FAMILIES:
        room = attrgetter(family)(rg)
        beside = BESIDE.get(family, set())
        assert room.__all__ == sorted({*cards(family), *beside})
        for name in cards(family):
            assert getattr(room, name) is cards(family)[name].function


def test_collect_refuses_a_file_without_its_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "attic"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_helper.py").write_text("raise RuntimeError('helpers are not collected')")
    (package / "good.py").write_text("def good(): pass")
    monkeypatch.syspath_prepend(str(tmp_path))
    namespace: dict[str, Any] = {"__path__": [str(package)]}
    collect("attic", namespace)
    assert namespace["__all__"] == ["good"]
    assert callable(namespace["good"])
    (package / "lost.py").write_text("def found(): pass")
    with pytest.raises(CardError, match=r"attic\.lost holds nothing named 'lost'") as caught:
        collect("attic", namespace)
    assert caught.value.hint == "one method a file, same name; the name of a helper file starts with _"
    for name in [n for n in sys.modules if n.partition(".")[0] == "attic"]:
        monkeypatch.delitem(sys.modules, name)


CREST = '''"""Peak."""
from __future__ import annotations

from regard.core.call import PerQuery, Rows
from regard.registry import method


@method("probes", paper="clark-heads", claim="1 for a query with one key", source="none: a throw-away",
        needs={"rows"}, differs="none", unit="share of attention")
def crest(rows: Rows, *, power: float = 1.0) -> PerQuery:
    """The largest weight of each query."""
    return rows.probs.amax(-1)BROKEN
'''


@pytest.fixture
def plugin(registered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Install a distribution that offers `crest` as a probe by entry point."""

    def install(text: str, target: str) -> None:
        site = tmp_path / "site"
        (site / "plug").mkdir(parents=True)
        (site / "plug" / "__init__.py").write_text("")
        (site / "plug" / "crest.py").write_text(text)
        info = site / "plug-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[regard.probes]\ncrest = {target}\n")
        monkeypatch.syspath_prepend(str(site))
        for name in ("plug", "plug.crest"):
            monkeypatch.delitem(sys.modules, name, raising=False)

    yield install
    for name in ("plug", "plug.crest"):
        sys.modules.pop(name, None)


def test_entry_points_add_methods_of_other_packages(plugin: Callable[[str, str], None], tiny_vit: Any) -> None:
    import torch

    assert "crest" not in cards("probes")
    plugin(CREST.replace("BROKEN", ""), "plug.crest:crest")
    assert cards("probes")["crest"].function.__module__ == "plug.crest"
    assert "crest" not in cards("explainers")
    with torch.no_grad(), rg.watch(tiny_vit, "blocks.0.attn", keep=["crest", "probs"]) as record:
        tiny_vit(rg.image("sample:coffee", like=tiny_vit))
    assert torch.allclose(record.readings[0]["crest"], record.readings[0]["probs"].amax(-1))


def test_our_catalogue_leaves_other_packages_out(plugin: Callable[[str, str], None]) -> None:
    from regard.testing.catalogue import build

    plugin(CREST.replace("BROKEN", ""), "plug.crest:crest")
    assert "crest" in cards("probes")
    assert "crest" not in {m["name"] for m in build()["methods"]}


def test_a_broken_entry_point_says_whose_it_is(plugin: Callable[[str, str], None]) -> None:
    plugin("import nothing_that_exists", "plug.crest:crest")
    with pytest.raises(ModuleNotFoundError) as caught:
        cards("probes")
    assert caught.value.__notes__ == ["while loading the entry point crest = plug.crest:crest of regard.probes"]


DROPPED = """
import json, sys, torch
import regard as rg
from regard.registry import cards
from regard.testing.catalogue import build, main
from regard.testing.laws import LawBrokenError, laws_of

assert rg.__file__.startswith(sys.argv[1]), rg.__file__
card = cards("probes")["crest"]
assert rg.probes.crest is card.function
assert [m["name"] for m in build()["methods"]].count("crest") == 1
assert "crest" not in rg.methods("probes").column("name")  # the catalogue is generated
before, _, after = main(["--check"]), main([]), main(["--check"])
broken = []
for law in laws_of(card):
    try:
        law.check(card)
    except LawBrokenError as error:
        broken.append(f"{law.name}: {error}")
print(json.dumps({"check": [before, after], "listed": "crest" in rg.methods("probes").column("name"),
                  "laws": [law.name for law in laws_of(card)], "broken": broken}))
"""


@pytest.fixture(scope="module")
def copy(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, so that files can be dropped into it."""
    place = tmp_path_factory.mktemp("copy")
    shutil.copytree(root / "src" / "regard", place / "src" / "regard", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "tests").mkdir()
    return place


def python(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(place / "src"), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=place
    )


@pytest.mark.slow
def test_a_file_dropped_into_a_family_is_a_method(copy: Path) -> None:
    (copy / "src" / "regard" / "probes" / "crest.py").write_text(CREST.replace("BROKEN", ""))
    done = python(copy, "-c", DROPPED, str(copy))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["check"] == [1, 0]
    assert told["listed"]
    assert "determinism" in told["laws"]
    assert told["broken"] == []
    assert "crest.py" in {p.name for p in (copy / "src" / "regard" / "probes").iterdir()}
    listed = python(copy, "-m", "regard", "list", "probes")
    assert listed.returncode == 0, listed.stderr
    assert "crest" in listed.stdout
    card = python(copy, "-m", "regard", "card", "crest")
    assert "The largest weight of each query." in card.stdout
    assert "power: float = 1.0" in card.stdout


@pytest.mark.slow
def test_a_dropped_file_is_held_to_the_laws(copy: Path) -> None:
    (copy / "src" / "regard" / "catalogue.json").write_text('{"methods": [], "works": {}}')
    (copy / "src" / "regard" / "probes" / "crest.py").write_text(CREST.replace("BROKEN", "[:, :1] / 0"))
    done = python(copy, "-c", DROPPED, str(copy))
    assert done.returncode == 0, done.stderr
    broken = {line.partition(":")[0] for line in json.loads(done.stdout)["broken"]}
    assert {"layout", "finite"} <= broken
