"""No test may take long: seconds of CPU, of itself and of the processes that it waits for, so that neighbours on a
shared machine do not turn it red."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

LONGEST = 90.0  # a works-test should take less than 20
LONGER: dict[str, float] = {}  # by the end of their ids, those that are worth more


def spent() -> float:
    """Seconds of CPU so far, children that were waited for included."""
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    before = spent()
    result = yield
    took = spent() - before
    allowed = max([limit for end, limit in LONGER.items() if item.nodeid.endswith(end)], default=LONGEST)
    if took > allowed:
        pytest.fail(
            f"{took:.3g} s of CPU, more than {allowed:g}: make it leaner, or name it in LONGER of tests/budget.py",
            pytrace=False,
        )
    return result
