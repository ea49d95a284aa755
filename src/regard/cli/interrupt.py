"""Ctrl-C ends a command within a second, also while one call into compiled code lasts longer."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer

from regard.cli.show import write_error

GRACE = 0.5  # seconds that Python gets to stop by itself
STOPPED = 130  # what a shell expects of a command that SIGINT ended


@contextmanager
def interruptible(told: str) -> Iterator[None]:
    """Inside, Ctrl-C writes `told` and ends the command with code 130.

    Python handles a signal between two of its own instructions, so never while LAPACK, zlib or a matrix product runs.
    The signal's number is therefore also written to a pipe (`signal.set_wakeup_fd`), at which a thread waits: if the
    body has not stopped after GRACE, the process ends where it is. Files are whole or absent all the same: what is
    half written has another name.
    """
    if threading.current_thread() is not threading.main_thread():  # only that one receives signals
        yield
        return
    end, pipe = os.pipe()
    os.set_blocking(pipe, False)
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(end, over, told), daemon=True)
    watcher.start()
    before = signal.set_wakeup_fd(pipe, warn_on_full_buffer=False)
    try:
        yield
    except KeyboardInterrupt:
        over.set()
        write_error(told)
        raise typer.Exit(STOPPED) from None
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(pipe)  # the watcher reads its end
        watcher.join()
        os.close(end)


def _watch(end: int, over: threading.Event, told: str) -> None:
    while number := os.read(end, 1):
        if number[0] == signal.SIGINT and not over.wait(GRACE):
            if sys.stderr.isatty():
                sys.stderr.write("\r\x1b[K\x1b[?25h")  # a bar that was being drawn had hidden the cursor
            write_error(told)
            leave()


def leave() -> None:
    """End the process as an interrupted one, now: taking large models apart would take seconds more."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # none, broken or closed
            stream.flush()
    os._exit(STOPPED)
