"""What timing needs: a machine and its own speed limits, ways that are run in turn, and the result they end in."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from regard import files
from regard.errors import LayoutError
from regard.results import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Quartiles = tuple[float, float, float]
_SQUARE, _COPIED = 512, 1 << 22  # of the matrix product; float32 numbers that are copied: 16 MiB, more than most caches


@dataclass(frozen=True)
class Machine:
    """Where a benchmark ran, and the fastest that it was seen to multiply and to copy in that very run.

    gemm: flop/s of a product of 512 x 512 matrices; copy: bytes/s read and written; both the best of several.
    """

    name: str
    torch: str
    device: str
    dtype: str
    threads: int
    gemm: float
    copy: float

    def floor(self, flops: float, moved: float) -> float:
        """Seconds that so many flops and bytes take at least: max(flops / gemm, bytes / copy)."""
        return max(flops / self.gemm, moved / self.copy)

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        speed = f"{self.gemm / 1e9:.0f} GFLOP/s in products, {self.copy / 1e9:.1f} GB/s copied"
        return f"{self.name}, {threads}, torch {self.torch}, {self.dtype}: {speed}"


def machine(device: str = "cpu", dtype: torch.dtype = torch.float32) -> Machine:
    """Measure this machine's floor with the threads that torch now has.

    >>> from regard.bench import machine
    >>> machine().floor(flops=2e9, moved=0) > 0
    True
    """
    a = torch.ones(_SQUARE, _SQUARE, device=device, dtype=dtype)
    source = torch.ones(_COPIED, device=device, dtype=dtype)
    target = torch.empty_like(source)
    product = min(seconds(lambda: a @ a, device) for _ in range(20))
    copied = min(seconds(lambda: target.copy_(source), device) for _ in range(10))
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    return Machine(
        name, str(torch.__version__), device, str(dtype).removeprefix("torch."), torch.get_num_threads(),
        2 * _SQUARE**3 / product, 2 * source.nbytes / copied,
    )  # fmt: skip


def seconds(run: Callable[[], object], device: str = "cpu") -> float:
    """Of the process's own time where one thread on a CPU computes (others' load is left out), else of the clock."""
    own = device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if own else time.perf_counter
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    start = clock()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return max(clock() - start, 1e-9)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads inside; torch's own number again after it."""
    if count < 1:
        raise LayoutError(f"{count} threads", hint="at least 1")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_turn(ways: Mapping[str, Callable[[], object]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each way in each round, after one that is not counted; the first way begins every round."""
    for run in ways.values():
        run()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            found[name].append(seconds(run, device))
    return found


def quartiles(values: list[float]) -> Quartiles:
    """Lower quartile, median, upper quartile; of one or two values, what they allow."""
    if len(values) < 2:
        return (values[0],) * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


@dataclass(frozen=True, repr=False)
class Bench:
    """A table of timings with the machine it was made on. kind: attention or operators, which tells how it is drawn."""

    kind: str
    machine: Machine
    settings: Mapping[str, Any]
    table: Table
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Bench({self.kind}: {len(self.table.rows)} rows; {self.machine})"

    def __str__(self) -> str:
        return "\n".join([str(self.machine), str(self.table), *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `json.dumps` takes."""
        facts = {"kind": self.kind, "machine": asdict(self.machine), "settings": dict(self.settings)}
        return facts | {"table": self.table.to_dict(), "notes": list(self.notes)}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Attention: measured speed-ups beside their bounds. Operators: gains over length, against plain attention."""
        from regard.viz.bench import plot_crossovers, plot_speedups

        draw = plot_speedups if self.kind == "attention" else plot_crossovers
        return draw(self.table, str(self.machine), ax=ax)

    def write(self, folder: str | Path) -> list[Path]:
        """`bench.json` and `bench.png` in a folder, each whole or absent."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = files.write_text(folder / "bench.json", json.dumps(self.to_dict(), indent=1) + "\n")
        with files.whole(folder / "bench.png") as draft:
            figure = self.plot().figure
            figure.savefig(draft, dpi=150, format="png")  # type: ignore[union-attr]
        return [text, folder / "bench.png"]
