"""The catalogue of methods: `@method` registers a plain function with its facts.

A method is one file holding one function of the same name. The decorator checks the facts and
returns the function unchanged, so the catalogue is never needed to call it. Everything that lists
methods (CLI, docs, laws, `catalogue.json`) is derived from the cards made here.
"""

from __future__ import annotations

import functools
import inspect
import json
import numbers
import pkgutil
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from regard.errors import CardError, MethodError, context

MAX_OPTIONS = 7
REQUIRED = "required"  # in the place of a default
KINDS = ("self", "causal self", "cross", "causal cross")  # of attention, that an operator may be able to do
FIELDS = ("q", "k", "v", "out", "probs", "attention")  # of a call, that a watch can keep


@dataclass(frozen=True)
class Family:
    """What a family of methods may ask for (by parameter name) and what it must return."""

    subjects: frozenset[str]
    returns: frozenset[str]
    one_line: str


def _family(subjects: str, returns: str, one_line: str) -> Family:
    return Family(frozenset(subjects.split()), frozenset(returns.split()), one_line)


FAMILIES: Mapping[str, Family] = {
    "probes": _family("rows received call grid total out gradient carry", "PerQuery PerHead Summed", "Call -> numbers"),
    "explainers": _family(
        "record layer activations layers scans prompts x generator score", "MapValues", "record or forwards -> Map"
    ),
    "edits": _family("", "Edit", "another call in a call's place"),
    "metrics": _family(
        "heatmap maps x forward bank masks removal region again generator", "ScoreValues", "Map -> Score"
    ),
    "patterns": _family("", "Pattern", "who may look at whom"),
    "objects": _family("features grid", "PartsValues", "patch features -> objects and parts"),
    "operators": _family(
        "q k v logits tokens grid agents projection gate beta inducing importance intensity decay times channels "
        "rq rk mix affinity position left right images "
        "fundamentals",
        "Output Weights Tokens Images",
        "tensors -> attention, computed",
    ),
    "gaze.predictors": _family("x", "MapValues", "picture -> where people may look"),
    "gaze.metrics": _family("heatmap points others truth baseline", "Higher Lower", "Map against fixations"),
    "gaze.foveation": _family(
        "x fixation polar size panorama gaze", "Pictures Pooled LogPolar View Tokens", "picture -> what an eye sees"
    ),
    "gaze.stimuli": _family("x feature pair", "Stimulus Panorama Clip Trial", "pictures made for one question"),
    "gaze.events": _family("eye labels", "Labels Fixations", "samples -> fixations and saccades"),
    "gaze.comparisons": _family("path other size", "Higher Lower Several", "scanpath against scanpath"),
}


@dataclass(frozen=True)
class Option:
    """A keyword-only parameter of a method, as every front end shows it."""

    name: str
    kind: str
    default: Any


@dataclass(frozen=True)
class Card:
    """The facts about one method; everything but `function` is plain data."""

    family: str
    name: str
    paper: str
    claim: str
    source: str
    needs: tuple[str, ...]
    differs: str
    unit: str
    gives: str
    subjects: tuple[str, ...]
    options: tuple[Option, ...]
    summary: str
    doc: str
    function: Callable[..., Any] = field(compare=False, repr=False)
    kinds: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe facts, without the function."""
        plain = {k: v for k, v in self.__dict__.items() if k not in {"function", "options"}}
        plain["needs"], plain["subjects"], plain["kinds"] = list(self.needs), list(self.subjects), list(self.kinds)
        plain["options"] = [dict(o.__dict__) for o in self.options]
        return plain


_cards: dict[tuple[str, str], Card] = {}


def method(
    family: str, *, paper: str, claim: str, source: str, needs: Iterable[str], differs: str, unit: str, kinds: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a method of `family`, or raise `CardError` naming the missing fact.

    paper: key into papers.tsv · claim: what a test holds it to · source: where the formula stands ·
    needs: the fields of a call and the subjects that it reads · differs: every deviation from the paper, or "none" ·
    unit: of the values it returns · kinds: of an operator, those of KINDS that it can do, with commas.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        facts = {"paper": paper, "claim": claim, "source": source, "differs": differs, "unit": unit}
        card = _check(family, function, facts, tuple(sorted(needs)), _kinds(family, function, kinds))
        earlier = _cards.get((family, card.name))
        if earlier is not None and earlier.function.__module__ != function.__module__:
            raise CardError(
                f"{family}.{card.name} is registered twice: in {earlier.function.__module__} and {function.__module__}",
                hint="rename one of the two files and its function",
            )
        _cards[family, card.name] = card
        return function

    return register


def _kinds(family: str, function: Callable[..., Any], kinds: str) -> tuple[str, ...]:
    told = tuple(kind.strip() for kind in kinds.split(",") if kind.strip())
    if set(told) - set(KINDS) or (told and family != "operators"):
        raise CardError(
            f"{function.__module__}.{function.__name__}: kinds '{kinds}'",
            hint=f"of an operator, among {', '.join(KINDS)}",
        )
    return told


def _check(
    family: str, function: Callable[..., Any], facts: dict[str, str], needs: tuple[str, ...], kinds: tuple[str, ...]
) -> Card:
    where = f"{function.__module__}.{function.__name__}"
    if family not in FAMILIES:
        raise CardError(f"{where}: no family '{family}'", hint=f"one of {', '.join(FAMILIES)}")
    for name, fact in facts.items():
        if not fact.strip():
            raise CardError(f"{where}: the fact '{name}' is empty", hint=f"@method(..., {name}='...')")
    if function.__name__ != function.__module__.rsplit(".", 1)[-1]:
        raise CardError(f"{where}: the function is not named after its file", hint="one method a file, same name")
    unknown = sorted(set(needs) - set(FIELDS) - FAMILIES[family].subjects)
    if unknown:
        raise CardError(
            f"{where} needs '{unknown[0]}', which nothing gives",
            hint=f"among {', '.join(sorted({*FIELDS, *FAMILIES[family].subjects}))}",
        )
    doc = inspect.getdoc(function)
    if not doc:
        raise CardError(f"{where} has no docstring", hint="first line: what it does; then formula, shapes, source")
    subjects, options = _parameters(family, function, where)
    gives = _words(function.__annotations__.get("return", "nothing")).rsplit(".", 1)[-1]
    if gives not in FAMILIES[family].returns:
        raise CardError(
            f"{where} returns {gives}, not what {family} give",
            hint=f"annotate -> {' or '.join(sorted(FAMILIES[family].returns))}",
        )
    return Card(
        family=family, name=function.__name__, needs=needs, gives=gives, subjects=subjects, options=options,
        summary=doc.splitlines()[0], doc=doc, function=function, kinds=kinds, **facts,
    )  # fmt: skip


def _parameters(family: str, function: Callable[..., Any], where: str) -> tuple[tuple[str, ...], tuple[Option, ...]]:
    subjects, options = [], []
    for p in inspect.signature(function).parameters.values():
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            raise CardError(f"{where} takes *args or **kwargs", hint="name every option, keyword-only, with a default")
        if p.kind is p.KEYWORD_ONLY or not FAMILIES[family].subjects:  # a family without subjects is made of options
            required = p.default is p.empty
            if p.annotation is p.empty or (required and FAMILIES[family].subjects):
                raise CardError(
                    f"{where}: option '{p.name}' has no default or no type", hint=f"{p.name}: float = 0.5, say"
                )
            options.append(Option(p.name, _words(p.annotation), REQUIRED if required else p.default))
        elif p.name in FAMILIES[family].subjects:
            subjects.append(p.name)
        else:
            raise CardError(
                f"{where}: '{p.name}' is no subject of {family}",
                hint=f"one of {', '.join(sorted(FAMILIES[family].subjects))}; options follow a bare *",
            )
    if len(options) > MAX_OPTIONS:
        raise CardError(f"{where} has {len(options)} options", hint=f"at most {MAX_OPTIONS}; split the method")
    return tuple(subjects), tuple(options)


def _words(annotation: Any) -> str:
    """A type as it was written, whether or not the file postpones its annotations."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def collect(package: str, namespace: dict[str, Any]) -> None:
    """Import every file of a family and bind, over each module, the object it is named after."""
    names = sorted(m.name for m in pkgutil.iter_modules(namespace["__path__"]) if not m.name.startswith("_"))
    for name in names:
        module = import_module(f"{package}.{name}")
        if not hasattr(module, name):
            raise CardError(
                f"{package}.{name} holds nothing named '{name}'",
                hint="one method a file, same name; the name of a helper file starts with _",
            )
        namespace[name] = getattr(module, name)
    namespace["__all__"] = names


def cards(family: str) -> dict[str, Card]:
    """All cards of a family by name: ours, and those that other packages offer by entry point."""
    if family not in FAMILIES:
        raise MethodError.unknown("family", family, FAMILIES, see=f"one of {', '.join(FAMILIES)}")
    import_module(f"regard.{family}")
    for entry in _offered(family, tuple(sys.path)):
        if (family, entry.name) not in _cards:
            with context(f"while loading the entry point {entry.name} = {entry.value} of regard.{family}"):
                entry.load()
    return {name: card for (where, name), card in _cards.items() if where == family}


@functools.cache
def _offered(family: str, path: tuple[str, ...]) -> EntryPoints:
    """Scanning what is installed costs milliseconds, so it is done once for each search path."""
    return entry_points(group=f"regard.{family}")


class Chosen(NamedTuple):
    """A method made ready: its card, the function with the given options bound, all settings in force."""

    card: Card
    function: Callable[..., Any]
    settings: dict[str, Any]


def _check_values(card: Card, given: Mapping[str, Any]) -> None:
    """Raise MethodError for a value of another kind than its option, or one that it does not list."""
    try:
        kinds = typing.get_type_hints(card.function) if given else {}
    except NameError:  # a type that only type checkers see
        return
    for name, value in given.items():
        if name in kinds and not fits(value, kinds[name]):
            choices = typing.get_args(kinds[name]) if typing.get_origin(kinds[name]) is typing.Literal else ()
            wanted = f"one of {', '.join(map(repr, choices))}" if choices else f"{name}: {_words(kinds[name])}"
            raise MethodError(f"{card.name} has no {name}={value!r}", hint=wanted)


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind: plain numbers, words, None, lists of choices, tuples and unions of these; what is
    written as anything else is left to the method.

    >>> fits(3, float), fits(3.5, int), fits(True, int), fits((1, 2), tuple[int, ...] | None)
    (True, False, False, True)
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return value in inner
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is tuple and inner[-1:] == (...,):
        return isinstance(value, tuple | list) and all(fits(one, inner[0]) for one in value)
    if kind in (int, float):
        number = numbers.Integral if kind is int else numbers.Real
        return isinstance(value, number) and not isinstance(value, bool)
    return not isinstance(kind, type) or kind not in (bool, str, type(None)) or isinstance(value, kind)


def find(family: str, chosen: str | Card | Callable[..., Any], options: Mapping[str, Any] | None = None) -> Chosen:
    """Resolve a name (- is _ in it), card, function or `functools.partial` with options; more `options` win over those.

    >>> find("explainers", "rollout", {"residual": 0.2}).settings
    {'query': None, 'residual': 0.2}
    """
    if not isinstance(options, Mapping | None):
        raise MethodError(f"options are a mapping, got {type(options).__name__}", hint='options={"steps": 64}')
    given: dict[str, Any] = {}
    bare: Any = chosen
    while isinstance(bare, functools.partial):
        if bare.args:
            raise MethodError(
                f"a partial with positional arguments {bare.args}: these are the subjects, which the verb hands over",
                hint="functools.partial(method, option=value)",
            )
        given = {**bare.keywords, **given}
        bare = bare.func
    given |= options or {}
    known = cards(family)
    if isinstance(bare, Card):
        card = bare
    elif isinstance(bare, str):
        bare = bare if bare in known else bare.replace("-", "_")
        if bare not in known:
            raise MethodError.unknown(family.rstrip("s"), bare, known, see=f"regard list {family}")
        card = known[bare]
    else:
        match = [c for c in known.values() if c.function is bare]
        if not match:
            raise MethodError.unknown(
                family.rstrip("s"), getattr(bare, "__name__", repr(bare)), known,
                see="register the function with @regard.registry.method",
            )  # fmt: skip
        card = match[0]
    settings = {o.name: o.default for o in card.options}
    for name in given:
        if name not in settings:
            told = f"one of {', '.join(settings)}" if settings else "leave it out: the method has no options"
            raise MethodError.unknown(f"option of {card.name}", str(name), settings, see=told)
    _check_values(card, given)
    function = functools.partial(card.function, **given) if given else card.function
    return Chosen(card, function, settings | given)


def catalogue() -> dict[str, Any]:
    """The generated catalogue (`catalogue.json`): every card and every works-mark, without torch."""
    text = Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded
