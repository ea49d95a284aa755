"""The catalogue: what `@method` refuses and with which words, and how methods are found."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_type_hints

import numpy as np
import pytest

import regard as rg
from regard import registry
from regard.errors import CardError, MethodError
from regard.registry import FAMILIES, Card, Option, cards, find, fits

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
def make(tmp_path: Path, registered: None) -> Make:
    """Import a throw-away module that registers one method; the catalogue is put back afterwards."""

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
    assert cards("probes")["thrown"].options == tuple(Option(f"o{i}", "int", 0) for i in range(7))


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
    assert caught.value.hint == "'residual', or one of query, residual"
    with pytest.raises(MethodError, match="no option of rollout named 'record'"):
        find("explainers", functools.partial(rg.explainers.rollout, record=None))
    with pytest.raises(MethodError, match="positional arguments") as caught:
        find("explainers", functools.partial(rg.explainers.rollout, "a record"))
    assert caught.value.hint == "functools.partial(method, option=value)"


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


def test_options_of_a_verb_win_over_those_of_a_partial_and_are_checked() -> None:
    method = functools.partial(rg.explainers.rollout, residual=0.2, query=1)
    assert find("explainers", method, {"residual": 0.9}).settings == {"query": 1, "residual": 0.9}
    with pytest.raises(MethodError, match="no option of gradcam named 'steps'") as caught:
        find("explainers", "gradcam", {"steps": 3})
    assert caught.value.hint == "one of relu"
    with pytest.raises(MethodError, match="rise has no forwards='many'") as caught:
        find("explainers", "rise", {"forwards": "many"})
    assert caught.value.hint == "forwards: int"


def test_a_hyphen_in_a_name_is_an_underscore() -> None:
    assert find("gaze.predictors", "gaze-dinov2").card.name == "gaze_dinov2"
    assert find("explainers", "integrated-gradients") == find("explainers", "integrated_gradients")
    with pytest.raises(MethodError, match="no explainer named 'integrated_gradient'"):
        find("explainers", "integrated-gradient")


FITS = [
    (3, int, True), (3.0, int, False), (True, int, False), (np.int64(3), int, True), (3, float, True),
    (np.float32(0.5), float, True), (True, float, False), ("3", float, False), (1, bool, False), (True, bool, True),
    ("a", str, True), (None, str, False), (None, int | None, True), ("a", int | None, False),
    ("keep", Literal["keep", "drop"], True), ("both", Literal["keep", "drop"], False),
    ((1, 2), tuple[int, ...], True), ([1, 2], tuple[int, ...], True), ((1, 0.5), tuple[int, ...], False),
    (len, Callable[[str], int], True),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind", "wanted"), FITS, ids=str)
def test_what_fits_an_option(value: Any, kind: Any, wanted: bool) -> None:
    assert fits(value, kind) is wanted


def test_every_default_fits_its_own_option() -> None:
    for family in FAMILIES:
        for card in cards(family).values():
            kinds = get_type_hints(card.function)
            for option in card.options:
                assert option.default == registry.REQUIRED or fits(option.default, kinds[option.name]), (card, option)
