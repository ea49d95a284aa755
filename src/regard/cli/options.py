"""Command options read off a verb's own signature and docstring, so that neither is typed twice."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any

import typer

from regard.cli.show import flow

_TYPES: dict[str, Any] = {"int": int, "float": float, "bool": bool, "str": str, "Goal": str | None}
_LINE = re.compile(r"^\s*(\w+): (\S.*)$")


def options_of(verb: Callable[..., Any]) -> list[inspect.Parameter]:
    """The keyword-only parameters of `verb` as typer options, with the help that its docstring gives them."""
    told = {match[1]: match[2] for line in (verb.__doc__ or "").splitlines() if (match := _LINE.match(line))}
    return [
        inspect.Parameter(
            p.name,
            p.KEYWORD_ONLY,
            default=p.default,
            annotation=Annotated[_kind(str(p.annotation)), typer.Option(help=told.get(p.name), min=_least(p.default))],
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
