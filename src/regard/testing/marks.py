"""`@works("key")`: this test shows what the paper's `works_when` asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def works(key: str) -> Callable[[F], F]:
    """Mark a test as the one that makes a row of papers.tsv count as working.

    The catalogue generator reads the mark from the source; pytest sees it as the marker `works`.
    """
    import pytest

    from regard.bibliography import paper

    paper(key)
    return pytest.mark.works(key)
