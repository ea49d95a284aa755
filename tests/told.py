"""`refused`: an error by its kind and both lines of its text."""

from __future__ import annotations

from typing import Any

import pytest

from regard.errors import (
    RegardError,
)


def refused(kind: type[RegardError], message: str, hint: str) -> Any:
    """`pytest.raises` for both lines of an error's text."""
    return pytest.raises(kind, match=f"(?s){message}.*\n  try: .*{hint}")
