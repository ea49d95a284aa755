"""Choosing sites by address: `"blocks.{6..11}.attn"`, `"*.attn"`, lists of these, or a predicate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from regard.errors import SiteError

Selection = str | Sequence[str] | Callable[[str], bool]

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_CHOICE = re.compile(r"\{([^{}]*,[^{}]*)\}")


def expand(pattern: str) -> list[str]:
    """Spell out `{a..b}` (both ends included) and `{x,y}`.

    >>> expand("blocks.{9..11}.attn")
    ['blocks.9.attn', 'blocks.10.attn', 'blocks.11.attn']
    """
    if match := _RANGE.search(pattern):
        low, high = int(match[1]), int(match[2])
        choices = [str(i) for i in range(low, high + 1)]
    elif match := _CHOICE.search(pattern):
        choices = match[1].split(",")
    else:
        return [pattern]
    return [e for c in choices for e in expand(pattern[: match.start()] + c + pattern[match.end() :])]


def matcher(selection: Selection) -> Callable[[str], bool]:
    """A predicate over addresses; `*` and `?` are wildcards, a bare number or dot is itself."""
    if callable(selection):
        return selection
    patterns = [selection] if isinstance(selection, str) else list(selection)
    spelled = [e for p in patterns for e in expand(p)]
    return lambda address: any(fnmatchcase(address, p) for p in spelled)


def no_match(selection: Selection, known: Iterable[str], reason: str = "", *, has: str = "the model has") -> SiteError:
    """The refusal when nothing was selected, naming the closest addresses."""
    addresses = list(dict.fromkeys(known))
    if not addresses:
        why = reason or "the model made no attention call that regard can see"
        return SiteError(f"no site matches {selection!r}: {why}", hint="regard.sites(model, x) lists what was seen")
    close = get_close_matches(str(selection), addresses, n=3, cutoff=0.3) or addresses[-3:]
    return SiteError(
        f"no site matches {selection!r}; {has} {len(addresses)}",
        hint=", ".join(f"'{c}'" for c in close) + ", or regard.sites(model, x)",
    )
