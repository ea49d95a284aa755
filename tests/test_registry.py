"""The catalogue: what `@method` refuses and with which words, how methods are found, and how new ones get in."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import regard as rg
from regard import registry
from regard.errors import CardError, MethodError
from regard.registry import FAMILIES, Card, Option, cards, collect, find

HEAD = """
{future}
from regard.registry import method
from regard.core.call import PerQuery, Rows

@method({facts})
def {name}({parameters}){returns}:
    {doc}
    return 0
"""
FACTS = {
    "family": "'probes'",
    "paper": "'sinks'",
    "claim": "'c'",
    "source": "'s'",
    "needs": "{'rows'}",
    "differs": "'none'",
    "unit": "'bits'",
}

Make = Callable[..., ModuleType]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Import a throw-away module that registers one method; the catalogue is put back afterwards."""
    for family in FAMILIES:
        cards(family)
    monkeypatch.setattr(registry, "_cards", dict(registry._cards))

    def write(
        *,
        name: str = "thrown",
        file: str | None = None,
        parameters: str = "rows: Rows",
        returns: str = " -> PerQuery",
        doc: str = '"""First line.\n\n    More."""',
        future: str = "from __future__ import annotations",
        package: str = "",
        **facts: str,
    ) -> ModuleType:
        given = FACTS | facts
        text = HEAD.format(
            future=future,
            facts=", ".join([given.pop("family"), *(f"{k}={v}" for k, v in given.items())]),
            name=name, parameters=parameters, returns=returns, doc=doc,
        )  # fmt: skip
        return import_text(tmp_path, package + (file or name), text)

    return write


def import_text(folder: Path, name: str, text: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_card_by_value(make: Make) -> None:
    module = make(
        parameters="rows: Rows, grid, *, share: float = 0.5, fuse: str = 'mean'",
        needs="('rows', 'grid')",
        unit="'nats'",
    )
    card = cards("probes")["thrown"]
    assert card == Card(
        family="probes",
        name="thrown",
        paper="sinks",
        claim="c",
        source="s",
        needs=("grid", "rows"),
        differs="none",
        unit="nats",
        gives="PerQuery",
        subjects=("rows", "grid"),
        options=(Option("share", "float", 0.5), Option("fuse", "str", "mean")),
        summary="First line.",
        doc="First line.\n\nMore.",
        function=module.thrown,
    )
    assert json.loads(json.dumps(card.to_dict()))["options"][0] == {"name": "share", "kind": "float", "default": 0.5}
    assert "function" not in card.to_dict()


def test_the_decorator_gives_the_plain_function_back(make: Make) -> None:
    module = make()
    assert cards("probes")["thrown"].function is module.thrown
    assert module.thrown("anything") == 0
    assert type(module.thrown).__name__ == "function"


@pytest.mark.parametrize("future", ["", "from __future__ import annotations"])
def test_types_are_read_whether_or_not_annotations_are_postponed(future: str, make: Make) -> None:
    make(
        family="'explainers'", needs="('q', 'record')",
        future=f"{future}\nfrom regard.subjects.values import MapValues\nfrom typing import Literal",
        parameters="record, *, share: float = 0.5, fuse: Literal['mean', 'max'] = 'mean'", returns=" -> MapValues",
    )  # fmt: skip
    card = cards("explainers")["thrown"]
    assert card.gives == "MapValues"
    assert [o.kind for o in card.options] == ["float", "Literal['mean', 'max']"]


REFUSED: dict[str, tuple[dict[str, str], str, str]] = {
    "family": (
        {"family": "'prober'"},
        "thrown.thrown: no family 'prober'",
        f"one of {', '.join(FAMILIES)}",
    ),
    **{
        f"no {fact}": ({fact: "' '"}, f"thrown.thrown: the fact '{fact}' is empty", f"@method(..., {fact}='...')")
        for fact in ("paper", "claim", "source", "differs", "unit")
    },
    "file": (
        {"file": "other"},
        "other.thrown: the function is not named after its file",
        "one method a file, same name",
    ),
    "docstring": (
        {"doc": "pass"},
        "thrown.thrown has no docstring",
        "first line: what it does; then formula, shapes, source",
    ),
    "kwargs": (
        {"parameters": "rows, **kw"},
        "thrown.thrown takes *args or **kwargs",
        "name every option, keyword-only, with a default",
    ),
    "args": (
        {"parameters": "rows, *more"},
        "thrown.thrown takes *args or **kwargs",
        "name every option, keyword-only, with a default",
    ),
    "no default": (
        {"parameters": "rows, *, share: float"},
        "thrown.thrown: option 'share' has no default or no type",
        "share: float = 0.5, say",
    ),
    "no type": (
        {"parameters": "rows, *, share=1"},
        "thrown.thrown: option 'share' has no default or no type",
        "share: float = 0.5, say",
    ),
    "subject": (
        {"parameters": "rows, share: float = 0.5"},
        "thrown.thrown: 'share' is no subject of probes",
        "one of call, carry, gradient, grid, out, received, rows, total; options follow a bare *",
    ),
    "subject of another family": (
        {"parameters": "record"},
        "thrown.thrown: 'record' is no subject of probes",
        "one of call, carry, gradient, grid, out, received, rows, total; options follow a bare *",
    ),
    "too many": (
        {"parameters": "rows, *, " + ", ".join(f"o{i}: int = 0" for i in range(8))},
        "thrown.thrown has 8 options",
        "at most 7; split the method",
    ),
    "returns": (
        {"returns": " -> float"},
        "thrown.thrown returns float, not what probes give",
        "annotate -> PerHead or PerQuery or Summed",
    ),
    "returns nothing": (
        {"returns": ""},
        "thrown.thrown returns nothing, not what probes give",
        "annotate -> PerHead or PerQuery or Summed",
    ),
}


def test_a_need_that_nothing_gives_is_refused(make: Make) -> None:
    with pytest.raises(CardError, match="needs 'rowz', which nothing gives") as caught:
        make(needs="('rows', 'rowz')")
    assert (
        caught.value.hint == "among attention, call, carry, gradient, grid, k, out, probs, q, received, rows, total, v"
    )
    make(needs="('rows', 'probs')")


@pytest.mark.parametrize("name", REFUSED)
def test_the_decorator_refuses(name: str, make: Make) -> None:
    changes, message, hint = REFUSED[name]
    before = dict(registry._cards)
    with pytest.raises(CardError) as caught:
        make(**changes)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert registry._cards == before  # what is refused is not registered
    make()  # the same module without the change is good


def test_seven_options_are_allowed(make: Make) -> None:
    make(parameters="rows, *, " + ", ".join(f"o{i}: int = 0" for i in range(7)))
    assert len(cards("probes")["thrown"].options) == 7


def test_a_fact_left_out_is_pythons_own_error(make: Make) -> None:
    with pytest.raises(TypeError, match="claim"):
        registry.method("probes", paper="p", source="s", needs=(), differs="none", unit="u")  # type: ignore[call-arg]


def test_two_files_may_not_share_a_name(make: Make) -> None:
    make(package="one.")
    with pytest.raises(CardError) as caught:
        make(package="two.")
    assert caught.value.message == "probes.thrown is registered twice: in one.thrown and two.thrown"
    assert caught.value.hint == "rename one of the two files and its function"
    assert cards("probes")["thrown"].function.__module__ == "one.thrown"
    make(package="one.")  # loading a file again is no second registration
    make(
        package="three.", family="'explainers'", parameters="record", needs="{'q'}",
        future="from regard.subjects.values import MapValues", returns=" -> MapValues",
    )  # another family has its own names  # fmt: skip
    assert cards("explainers")["thrown"].family == "explainers"


def test_find_by_name_card_function_and_partial() -> None:
    by_name = find("explainers", "rollout")
    function = rg.explainers.rollout
    assert by_name == (cards("explainers")["rollout"], function, {"query": None, "residual": 0.5})
    assert find("explainers", by_name[0]) == by_name
    assert find("explainers", function) == by_name
    card, bound, settings = find("explainers", functools.partial(function, residual=0.2))
    assert card is by_name[0]
    assert settings == {"query": None, "residual": 0.2}
    assert isinstance(bound, functools.partial)
    assert bound.keywords == {"residual": 0.2}


def test_the_outer_partial_wins_also_where_python_keeps_both() -> None:
    inner = functools.partial(rg.explainers.rollout, residual=0.2, query=3)
    inner.note = "an attribute keeps functools from merging the two"  # type: ignore[attr-defined]
    outer = functools.partial(inner, residual=0.9)
    assert outer.func is inner
    _, bound, settings = find("explainers", outer)
    assert settings == {"query": 3, "residual": 0.9}
    assert isinstance(bound, functools.partial)
    assert bound.func is rg.explainers.rollout
    assert bound.keywords == settings


def test_settings_of_a_partial_reach_the_method(tiny_vit: Any) -> None:
    x = rg.image("sample:coffee", like=tiny_vit)
    plain = rg.explain(tiny_vit, x, method="rollout")
    bound = rg.explain(tiny_vit, x, method=functools.partial(rg.explainers.rollout, residual=0.9))
    assert dict(bound.settings) == {"query": None, "residual": 0.9}
    assert abs(bound.values - plain.values).max() > 1e-4


def test_unknown_names_get_the_closest() -> None:
    with pytest.raises(MethodError) as caught:
        find("explainers", "rolout")
    assert caught.value.message == "no explainer named 'rolout'"
    assert caught.value.hint == "'rollout', or regard list explainers"
    with pytest.raises(MethodError, match="no metric named 'delet'") as caught:
        find("metrics", "delet")
    assert "'deletion'" in caught.value.hint
    with pytest.raises(MethodError, match="no family named 'probe'") as caught:
        cards("probe")
    assert caught.value.hint.startswith("'probes'")
    assert caught.value.hint.endswith(f"one of {', '.join(FAMILIES)}")


def test_a_function_that_is_not_registered_is_refused() -> None:
    def rollout(record: Any) -> Any:
        """Another rollout."""

    with pytest.raises(MethodError, match="no explainer named 'rollout'") as caught:
        find("explainers", rollout)
    assert caught.value.hint.endswith("register the function with @regard.registry.method")


def test_a_partial_may_only_set_options() -> None:
    with pytest.raises(MethodError, match="no option of rollout named 'residul'") as caught:
        find("explainers", functools.partial(rg.explainers.rollout, residul=0.2))
    assert caught.value.hint == "'residual', or regard card rollout"
    with pytest.raises(MethodError, match="no option of rollout named 'record'"):
        find("explainers", functools.partial(rg.explainers.rollout, record=None))
    with pytest.raises(MethodError, match="positional arguments") as caught:
        find("explainers", functools.partial(rg.explainers.rollout, "a record"))
    assert caught.value.hint == "functools.partial(method, option=value)"


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
def plugin(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
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


def test_the_catalogue_file_is_read_without_torch() -> None:
    program = (
        "import sys; from regard import registry; "
        "print(len(registry.catalogue()['methods']) > 9, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_a_value_that_an_option_does_not_list_is_refused() -> None:
    with pytest.raises(MethodError, match=r"fido has no game='both'\n.*'keep', 'drop'"):
        registry.find("explainers", functools.partial(registry.cards("explainers")["fido"].function, game="both"))
