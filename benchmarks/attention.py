"""What attention under a pattern costs: `regard.attend` against what people write today, time and peak memory.

    python benchmarks/attention.py           prints a table and writes benchmarks/results/attention.json
    python benchmarks/attention.py --quick   fewer rounds
    python benchmarks/attention.py --flex    with compiled FlexAttention (forward only: torch has no backward on CPUs)

Neighborhood attention on grids and a video, float32, one picture. All ways of a case run in one process, in turn, on
one thread, timed by the process's own CPU time, for machines are shared; a ratio is a way's time over regard's in
the same round, told as median and quartiles. Each case begins in a fresh process: what an earlier one left allocated
made others up to 3 times faster. Of two runs in a row the second counts, for every way: the first pays for giving back
what the way before had allocated. Peak memory is the growth of the resident set over its value before the run, each
way in a fresh process. The gate runs first: every way gives the numbers of a float64 reference.

dense: SDPA with a mask · gather: keys of every window gathered by index · shifted: one shifted product for each place
in the window · flex: FlexAttention, compiled · regard native: `impl="native"`, where there is a C++ compiler.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

import regard as rg

HERE = Path(__file__).resolve().parent


class Case(NamedTuple):
    """A grid or video, its window, batch, heads and head width; ways: those that fit into memory and patience."""

    axes: tuple[int, ...]
    window: tuple[int, ...]
    shape: tuple[int, int, int]
    ways: tuple[str, ...] = ("dense", "gather", "shifted")
    backward: bool = True

    def pattern(self) -> Any:
        return rg.patterns.neighborhood(self.axes, self.window)

    def operands(self) -> tuple[Tensor, Tensor, Tensor]:
        batch, heads, dim = self.shape
        tokens = torch.Size(self.axes).numel()
        q, k, v = (torch.randn(batch, heads, tokens, dim, generator=torch.Generator().manual_seed(i)) for i in range(3))
        return q, k, v


CASES = {
    "56x56, window 7": Case((56, 56), (7, 7), (1, 3, 32)),
    "56x56, window 13": Case((56, 56), (13, 13), (1, 3, 32)),
    "56x56, window 7, 2 x 6 heads of 64": Case((56, 56), (7, 7), (2, 6, 64)),
    "112x112, window 7": Case((112, 112), (7, 7), (1, 3, 32), ("gather", "shifted"), backward=False),
    "112x112, window 13": Case((112, 112), (13, 13), (1, 3, 32), ("gather", "shifted"), backward=False),
    "8x28x28, window 3x7x7": Case((8, 28, 28), (3, 7, 7), (1, 4, 32)),
}


def windows(case: Case) -> Tensor:
    """Numbers of the keys that each query sees, `[N, window]`."""
    (box,) = case.pattern().boxes
    number = torch.zeros(1, 1, dtype=torch.long)
    for axis, length, size in zip(box, case.axes, case.window, strict=True):
        place = torch.tensor(axis.lo)[:, None] + torch.arange(size)
        number = (number[:, None, :, None] * length + place[None, :, None, :]).flatten(2, 3).flatten(0, 1)
    return number


def dense(case: Case) -> Callable[..., Tensor]:
    seen = case.pattern().mask()
    mask = torch.zeros(seen.shape).masked_fill_(~seen, -torch.inf)
    return partial(F.scaled_dot_product_attention, attn_mask=mask)


def gather(case: Case) -> Callable[..., Tensor]:
    number = windows(case)

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        near, values = (x[:, :, number.flatten()].unflatten(2, number.shape) for x in (k, v))
        probs = (q[..., None, :] @ near.mT * q.shape[-1] ** -0.5).softmax(-1)
        return (probs @ values)[..., 0, :]

    return run


def shifted(case: Case) -> Callable[..., Tensor]:
    (box,) = case.pattern().boxes
    places = [[torch.tensor(axis.lo) + at for at in range(size)] for axis, size in zip(box, case.window, strict=True)]

    def moved(x: Tensor, slot: tuple[Tensor, ...]) -> Tensor:
        for axis, index in enumerate(slot):
            x = x.index_select(2 + axis, index)
        return x

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.unflatten(2, case.axes) for x in (q * q.shape[-1] ** -0.5, k, v))
        slots = [*itertools.product(*places)]
        probs = torch.stack([(q * moved(k, slot)).sum(-1) for slot in slots]).softmax(0)
        out = sum(p[..., None] * moved(v, slot) for p, slot in zip(probs, slots, strict=True))
        return out.flatten(2, 1 + len(case.axes))  # type: ignore[union-attr]

    return run


def flex(case: Case) -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch._dynamo.reset()  # else it compiles for any size, which fails
    (box,) = case.pattern().boxes
    lo = [torch.tensor(axis.lo) for axis in box]

    def seen(_: Tensor, __: Tensor, i: Tensor, j: Tensor) -> Tensor:
        inside = torch.ones((), dtype=torch.bool)
        for length, size, first in zip(case.axes[::-1], case.window[::-1], lo[::-1], strict=True):
            start = first[i % length]
            inside = inside & (j % length >= start) & (j % length < start + size)
            i, j = i // length, j // length
        return inside

    tokens = torch.Size(case.axes).numel()
    mask = create_block_mask(seen, None, None, tokens, tokens, device="cpu")
    return partial(torch.compile(flex_attention), block_mask=mask)


def ours(case: Case, impl: Literal["tiled", "native"] = "tiled") -> Callable[..., Tensor]:
    pattern = case.pattern()
    return lambda q, k, v: rg.attend(q, k, v, pattern=pattern, impl=impl).out


NATIVE = ("regard native",) if any(map(shutil.which, ("c++", "g++", "clang++"))) else ()
WAYS = {
    "regard": ours,
    "regard native": partial(ours, impl="native"),
    "dense": dense,
    "gather": gather,
    "shifted": shifted,
    "flex": flex,
}


def leaves(operands: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.detach().clone().requires_grad_() for x in operands)


def backward(function: Callable[..., Tensor], operands: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    out = function(*operands)
    return torch.autograd.grad(out, operands, torch.ones_like(out))


def gate() -> None:
    """Outputs and gradients of every way are those of the float64 reference, on smaller cases of the same kind."""
    for case in (Case((12, 14), (5, 7), (2, 3, 16)), Case((3, 8, 9), (3, 5, 3), (1, 2, 16))):
        q, k, v = case.operands()
        wide = tuple(x.double() for x in (q, k, v))

        def oracle(q: Tensor, k: Tensor, v: Tensor, case: Case = case) -> Tensor:
            return rg.attend(q, k, v, pattern=case.pattern(), impl="reference").out

        for name in ("regard", *NATIVE, *case.ways):
            made = WAYS[name](case)
            assert float((made(q, k, v) - oracle(*wide)).abs().max()) < 5e-6, name
            for got, expected in zip(backward(made, leaves((q, k, v))), backward(oracle, leaves(wide)), strict=True):
                assert float((got - expected).abs().max()) < 5e-5, name


def timed(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def settled(run: Callable[[], object]) -> float:
    """The second of two runs: the first also pays for giving back what another way had allocated (here up to 56 ms)."""
    run()
    return timed(run)


def ratios(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Quartiles of each way's time over the first's of the same round; of the first, milliseconds."""
    first, *others = ways
    for run in ways.values():
        run()
    own: list[float] = []
    found: dict[str, list[float]] = {name: [] for name in others}
    for _ in range(rounds):
        own.append(settled(ways[first]))
        for name in others:
            found[name].append(settled(ways[name]) / own[-1])
    told = {f"{first}, ms": statistics.quantiles([1e3 * s for s in own], n=4)}
    return told | {name: statistics.quantiles(values, n=4) for name, values in found.items()}


def floor(case: Case, milliseconds: float) -> float:
    """Useful multiplications and additions over what this machine's matrix products reach, measured now."""
    a = torch.randn(512, 512)
    best = min(timed(lambda: [a @ a for _ in range(20)]) for _ in range(5)) / 20
    batch, heads, dim = case.shape
    flops = case.pattern().plan(dim=dim, heads=heads, batch=batch).flops
    return (flops / (milliseconds / 1e3)) / (2 * 512**3 / best)


def peak(case: str, way: str, mode: str) -> float:
    """MiB by which a way's peak resident set exceeds what is held before it, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--peak", case, way, mode], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def measure_peak(name: str, way: str, mode: str) -> float:
    small = Case((12, 14), (5, 7), (1, 2, 16)) if len(CASES[name].axes) == 2 else Case((3, 8, 9), (3, 5, 3), (1, 2, 16))
    backward(WAYS[way](small), leaves(small.operands()))  # whatever is loaded on first use
    case = CASES[name]
    operands = case.operands() if mode == "forward" else leaves(case.operands())
    made = WAYS[way](case)  # masks and indices are made before, for they can be kept
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    if mode == "forward":
        with torch.no_grad():
            made(*operands)
    else:
        backward(made, operands)
    return resident("VmHWM") - before


def resident(which: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(which)).split()[1]) / 1024


def at(name: str, rounds: int, with_flex: bool) -> dict[str, Any]:
    case = CASES[name]
    operands = case.operands()
    names = ["regard", *NATIVE, *case.ways, *(["flex"] if with_flex and len(case.axes) == 2 else [])]
    made = {way: WAYS[way](case) for way in names}

    def forward(function: Callable[..., Tensor]) -> None:
        with torch.no_grad():
            function(*operands)

    told: dict[str, Any] = {"forward": ratios({way: partial(forward, f) for way, f in made.items()}, rounds)}
    told["share of matrix product speed"] = floor(case, told["forward"]["regard, ms"][1])
    if case.backward:
        both = {way: partial(backward, f, leaves(operands)) for way, f in made.items() if way != "flex"}
        told["forward and backward"] = ratios(both, rounds)
    modes = ["forward", *(["both"] if case.backward else [])]
    told["peak MiB"] = {
        f"{way}, {mode}": peak(name, way, mode) for way in ("regard", *NATIVE, *case.ways) for mode in modes
    }
    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--flex", action="store_true")
    parser.add_argument("--peak", nargs=3)
    parser.add_argument("--case")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.peak:
        print(measure_peak(*given.peak))
        return
    rounds = 3 if given.quick else 7
    if given.case:
        print(json.dumps(at(given.case, rounds, given.flex)))
        return
    gate()
    machine = f"{platform.machine()}, {torch.get_num_threads()} thread, torch {torch.__version__}"
    found: dict[str, Any] = {"machine": machine}
    for name in CASES:
        again = [*sys.argv[1:], "--case", name]
        done = subprocess.run([sys.executable, __file__, *again], stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(done.stdout)
        for mode in ("forward", "forward and backward"):
            for way, (low, middle, high) in found[name].get(mode, {}).items():
                print(f"{name:36} {mode:21} {way:13} {middle:8.2f} ({low:.2f}-{high:.2f})", flush=True)
        memory = ", ".join(f"{way} {mib:.0f}" for way, mib in found[name]["peak MiB"].items())
        print(
            f"{name:36} {found[name]['share of matrix product speed']:.0%} of matrix products; MiB: {memory}",
            flush=True,
        )
    (HERE / "results" / "attention.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
