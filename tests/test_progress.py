"""`track`: silent unless somebody looks and the loop lasts; one bar; nothing left behind."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from regard import progress
from regard.progress import track


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


Look = Callable[[], Terminal]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Iterator[Look]:
    """Called in a test: somebody looks, and patience ends at once. (A fixture's own patch of sys.stderr is
    undone by pytest's capture before the test begins.)"""

    def start() -> Terminal:
        fake = Terminal()
        monkeypatch.setattr(sys, "stderr", fake)
        monkeypatch.setattr(progress, "PATIENCE", -1.0)
        monkeypatch.setenv("TERM", "xterm")
        for name in ("REGARD_PROGRESS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        return fake

    yield start
    assert not getattr(progress._thread, "tracking", False)


def test_items_pass_in_order_whoever_looks(look: Look) -> None:
    look()
    assert list(track(range(5), "numbers")) == [0, 1, 2, 3, 4]
    assert list(track(iter("abc"), "letters")) == ["a", "b", "c"]
    assert list(track([], "nothing")) == []


def test_a_bar_is_drawn_on_stderr(look: Look, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = look()
    for i in track(range(4), "random removals"):
        if i == 2:
            assert "random removals" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_the_total_can_be_given(look: Look) -> None:
    terminal = look()
    list(track((i for i in range(3)), "generated", total=3))
    assert "3/3" in terminal.getvalue()


def test_silent_within_the_first_second(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = look()
    monkeypatch.setattr(progress, "PATIENCE", 1.0)
    list(track(range(100), "short"))
    assert terminal.getvalue() == ""


def test_draws_after_a_second(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = look()
    monkeypatch.setattr(progress, "PATIENCE", 1.0)
    clock = iter([0.0, 0.4, 0.9, 1.1, 1.2])
    with monkeypatch.context() as patched:
        patched.setattr(progress.time, "monotonic", lambda: next(clock, 1.3))
        seen = ["long" in terminal.getvalue() for _ in track(range(4), "long")]
    assert seen == [False, False, False, True]  # time is looked at after each item


def test_draws_while_the_first_item_lasts(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = look()
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    for _ in track(range(1), "one photo"):
        until = time.monotonic() + 10
        while "one photo" not in terminal.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
        assert "0/1" in terminal.getvalue()


def test_silent_without_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    list(track(range(3), "unseen"))
    assert capsys.readouterr() == ("", "")


def test_no_stderr_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a program without a console."""
    monkeypatch.setattr(sys, "stderr", None)
    assert list(track(range(3), "unseen")) == [0, 1, 2]


def test_switched_off(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = look()
    monkeypatch.setenv("REGARD_PROGRESS", "0")
    list(track(range(3), "unseen"))
    assert terminal.getvalue() == ""


def test_a_notebook_looks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGARD_PROGRESS", raising=False)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not progress.is_watched()
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert progress.is_watched()


def test_a_loop_inside_a_loop_is_silent(look: Look) -> None:
    terminal = look()
    for _ in track(range(2), "outer"):
        list(track(range(2), "inner"))
    assert "outer" in terminal.getvalue()
    assert "inner" not in terminal.getvalue()
    list(track(range(2), "later"))
    assert "later" in terminal.getvalue()


def test_another_thread_is_not_inside(look: Look) -> None:
    look()
    inside: list[bool] = []
    for _ in track(range(1), "outer"):
        thread = threading.Thread(target=lambda: inside.append(getattr(progress._thread, "tracking", False)))
        thread.start()
        thread.join()
    assert inside == [False]


def test_an_early_break_takes_the_bar_away(look: Look) -> None:
    terminal = look()
    for i in track(range(9), "broken off"):
        if i == 3:
            break
    shown = terminal.getvalue()
    assert "\x1b[?25l" in shown  # the cursor was hidden ...
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # ... and is shown again
    list(track(range(2), "next"))
    assert "next" in terminal.getvalue()


def test_an_exception_in_the_body_takes_the_bar_away(look: Look) -> None:
    terminal = look()

    def body() -> None:
        for i in track(range(9), "failing"):
            if i == 3:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        body()
    assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")


def test_an_exception_in_the_items_passes(look: Look) -> None:
    look()

    def items() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(track(items(), "failing"))
