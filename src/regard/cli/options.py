"""Command options read off a verb's own signature and docstring, so that neither is typed twice."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_type_hints

import typer

from regard.cli.show import flow
from regard.errors import MethodError
from regard.registry import find, fits

_TYPES: dict[str, Any] = {"int": int, "float": float, "bool": bool, "str": str, "Goal": str | None}
_WORDS = {"true": True, "false": False, "none": None}
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An option of a method; --set again for more.")
]
_LINE = re.compile(r"^\s*(\w+): (\S.*)$")


def options_of(verb: Callable[..., Any]) -> list[inspect.Parameter]:
    """The keyword-only parameters of `verb` as typer options, with the help that its docstring gives them."""
    told = {match[1]: match[2] for line in (verb.__doc__ or "").splitlines() if (match := _LINE.match(line))}
    return [
        inspect.Parameter(
            p.name,
            p.KEYWORD_ONLY,
            default=p.default,
            annotation=Settings
            if p.name == "options"
            else Annotated[_kind(str(p.annotation)), typer.Option(help=told.get(p.name), min=_least(p.default))],
        )
        for p in inspect.signature(verb).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    ]


def _kind(annotation: str) -> Any:
    """The command line's type for an annotation; a model is given by name."""
    return _TYPES.get(annotation.split(" | ")[0], str)


def _least(default: Any) -> int | None:
    """Whole numbers here count things: none is negative, and one that starts above 0 stays above it."""
    return min(1, default) if isinstance(default, int) and not isinstance(default, bool) else None


def settings_of(methods: Sequence[str], given: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """What --set gives each explainer: `steps=3` to all that have such an option, `rise.forwards=500` to one."""
    cards = {card.name: card for card in (find("explainers", one).card for one in methods)}
    found: dict[str, dict[str, Any]] = {}
    for text in given or ():
        left, sign, value = text.partition("=")
        method, dot, name = left.strip().replace("-", "_").rpartition(".")
        if not sign or not name or (dot and method not in cards):
            raise MethodError(f"--set {text}", hint=f"--set NAME=VALUE, or METHOD.NAME=VALUE with {' or '.join(cards)}")
        takers = [c for c in cards.values() if c.name == method or (not dot and name in {o.name for o in c.options})]
        if not takers:
            have = "; ".join(f"{c.name}: {', '.join(o.name for o in c.options) or 'none'}" for c in cards.values())
            raise MethodError(f"no option '{name}' of {' or '.join(cards)}", hint=have)
        for card in takers:
            found.setdefault(card.name, {})[name] = _value(value.strip(), get_type_hints(card.function).get(name, str))
    for name, options in found.items():
        find("explainers", name, options)  # refuses what does not fit, before anything is loaded
    return found


def _value(text: str, kind: Any) -> Any:
    """A number, tuple or word as Python writes it, where the option is of that kind; else the text itself."""
    try:
        value = _WORDS[text.lower()] if text.lower() in _WORDS else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if fits(value, kind) or not fits(text, kind) else text


def with_options(function: Callable[..., Any], extra: list[inspect.Parameter]) -> Callable[..., Any]:
    """`function`, which takes **options, as typer should see it: its own parameters, then `extra`."""
    own = [p for p in inspect.signature(function, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    signature = inspect.Signature([*own, *extra])

    def command(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    command.__name__, command.__doc__ = function.__name__, flow(inspect.getdoc(function) or "")
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return command
