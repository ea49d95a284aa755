from __future__ import annotations

import pytest

from regard.errors import MethodError
from regard.testing.marks import works


def test_the_mark_is_on_the_test_and_keys_are_checked() -> None:
    @works("tokencut")
    def test_it() -> None: ...

    assert [mark.args for mark in test_it.pytestmark] == [("tokencut",)]  # type: ignore[attr-defined]
    with pytest.raises(MethodError, match="no paper named 'tokenkut'") as caught:
        works("tokenkut")
    assert "'tokencut'" in caught.value.hint
