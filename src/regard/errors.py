"""Every error that regard raises on purpose.

RegardError                        .hint: what to do
|- SiteError(LookupError)          no such site, or the pattern matches none
|- CallError(RuntimeError)         the site cannot give what was asked
|- EditError(ValueError)           an edit returned another shape or dtype
|- LayoutError(ValueError)         a tensor breaks the law of layout
|- CardError(TypeError)            a method registers wrongly
|- ImageError(ValueError)          unreadable, empty or too large picture
|- DataError(OSError)              file missing, checksum differs, no network
|- ExtraError(ImportError)         an optional package is missing
|- MethodError(LookupError)        unknown method or model, with the closest names
`- DegenerateError(ValueError)     a blank, constant or NaN result

Each text has three parts: what happened (with both values), where, and what to do.
The first line is the message; the hint follows on a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from typing import Any


def install(extra: str) -> str:
    """The one wording for how to get an extra."""
    return f"pip install 'regard[{extra}]' (in a clone: pip install -e '.[{extra}]')"


class RegardError(Exception):
    """Base of all: `str(error)` is the message and, on the next line, what to do."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  try: {self.hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        """An error has to come home from a worker process: by default pickle would forget the hint."""
        return partial(type(self), hint=self.hint), (self.message,), self.__dict__


class SiteError(RegardError, LookupError):
    """A site pattern matches no attention call of the model."""


class CallError(RegardError, RuntimeError):
    """A call cannot give what was asked of it."""


class EditError(RegardError, ValueError):
    """An edit returned a tensor of another shape or dtype."""


class LayoutError(RegardError, ValueError):
    """A tensor breaks the law of layout (see `regard.layout`)."""


class CardError(RegardError, TypeError):
    """A method registers with missing or contradictory facts."""


class ImageError(RegardError, ValueError):
    """A picture is unreadable, empty, too large, or in a form that cannot be read rightly."""


class DataError(RegardError, OSError):
    """A file is missing, a checksum differs, or a hub cannot be reached."""


class ExtraError(RegardError, ImportError):
    """An optional package is missing."""

    @classmethod
    def missing(cls, package: str, extra: str, purpose: str) -> ExtraError:
        """The one wording for every missing extra."""
        return cls(
            f"{purpose} needs the package '{package}', which is not installed",
            hint=install(extra),
        )


class MethodError(RegardError, LookupError):
    """A method, metric or model name is unknown."""

    @classmethod
    def unknown(cls, kind: str, name: str, known: Iterable[str], *, see: str) -> MethodError:
        """Name the closest known names, so that a typing slip costs one look."""
        close = get_close_matches(name, sorted(known), n=3, cutoff=0.5)
        nearest = ", ".join(f"'{c}'" for c in close)
        return cls(f"no {kind} named '{name}'", hint=f"{nearest}, or {see}" if nearest else see)


class DegenerateError(RegardError, ValueError):
    """A result carries no information: blank, constant, NaN, or a complete graph."""


@contextmanager
def context(where: str) -> Iterator[None]:
    """Add `where` to any error that passes: the only place that adds context."""
    try:
        yield
    except Exception as error:
        error.add_note(where)
        raise
