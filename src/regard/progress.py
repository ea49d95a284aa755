"""`track`: the only place that draws a progress bar."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 1.0  # seconds of silence before a bar appears
_thread = threading.local()  # .tracking: this thread already is inside a tracked loop


def is_watched() -> bool:
    """Whether somebody looks: a terminal on stderr, or a notebook; REGARD_PROGRESS=0 switches off."""
    if os.environ.get("REGARD_PROGRESS") == "0":
        return False
    terminal = sys.stderr is not None and sys.stderr.isatty()  # a program without a console has no stderr
    return terminal or "ipykernel" in sys.modules


def track(items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """Yield `items`; draw one bar on stderr once the loop, or its first item, lasts over a second and somebody looks.

    Loops inside a tracked loop stay silent: there is one outer bar.

    >>> list(track([1, 2, 3], "numbers"))
    [1, 2, 3]
    """
    if getattr(_thread, "tracking", False) or not is_watched():
        yield from items
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    _thread.tracking = True
    try:
        yield from _drawn(items, what, total)
    finally:
        _thread.tracking = False


def _drawn(items: Iterable[T], what: str, total: int | None) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(what, total=total)
    start = time.monotonic()
    timer = threading.Timer(PATIENCE, bar.start)  # while an item lasts, nothing else here runs
    timer.daemon = True
    timer.start()
    try:
        for item in items:
            yield item
            bar.advance(task)
            if time.monotonic() - start > PATIENCE:
                bar.start()  # does nothing where it was started already
    finally:
        timer.cancel()
        timer.join()
        if bar.live.is_started:
            bar.stop()
