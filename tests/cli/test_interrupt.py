"""Ctrl-C is told and ends a command, also in the middle of one long call into compiled code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import typer

from regard import cli
from regard.cli.interrupt import interruptible

LONG = """
import hashlib, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell begins with it ignored
from regard.cli.interrupt import interruptible
{guard}
    print("begun", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 30_000_000)  # many seconds without an instruction of Python's
print("finished", flush=True)
"""


def interrupted(guard: str, wait: float) -> tuple[int | None, str]:
    """Exit code (None where it still runs after `wait` seconds) and stderr of a long call that gets a SIGINT."""
    child = subprocess.Popen(
        [sys.executable, "-c", LONG.format(guard=guard)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        time.sleep(0.1)  # so that the long call has begun
        child.send_signal(signal.SIGINT)
        try:
            return child.wait(wait), child.communicate()[1]
        except subprocess.TimeoutExpired:
            return None, ""
    finally:
        child.kill()
        child.communicate()


@pytest.mark.slow
def test_a_long_call_into_compiled_code_is_ended_within_a_second() -> None:
    assert interrupted("with interruptible('told: nothing was lost'):", 4.0) == (130, "told: nothing was lost\n")
    assert interrupted("if True:", 1.5)[0] is None  # what Python does by itself


@pytest.fixture
def handled() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("handled")
def test_an_interrupt_that_python_handles_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(typer.Exit) as ended, interruptible("told"):
        signal.raise_signal(signal.SIGINT)
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "told\n"
    now = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(now)
    assert now == before
    assert threading.active_count() == threads
    assert not files or len(os.listdir("/proc/self/fd")) == files


def test_an_interrupted_command_ends_before_python_takes_itself_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a process that holds torch and a model that takes seconds."""
    ended: list[int] = []
    monkeypatch.setattr(cli.interrupt.os, "_exit", ended.append)
    for code in (130, 1, 0):
        monkeypatch.setattr(cli, "app", lambda code=code: sys.exit(code))
        with pytest.raises(SystemExit):
            cli.main()
    assert ended == [130]


def test_other_errors_and_other_threads_pass() -> None:
    with pytest.raises(ZeroDivisionError), interruptible("told"):
        raise ZeroDivisionError
    found: list[int] = []

    def body() -> None:
        with interruptible("told"):
            found.append(1)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert found == [1]
