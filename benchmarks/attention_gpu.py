"""What attention under a pattern costs on a GPU. No number exists yet: no GPU was at hand when this was written.

    python benchmarks/attention_gpu.py             gate, table, and benchmarks/results/attention_gpu.json
    python benchmarks/attention_gpu.py --quick     fewer rounds, the smaller cases

Ways: triton, flex and natten (where it is installed) of `regard.attend`, and dense: torch's fused attention over all
pairs, which computes another thing and is what a pattern has to beat. The gate runs first, on small cases: outputs and
gradients are those of the float64 reference; where it is red, nothing is told. Then all ways in turn, in one process,
in bfloat16, timed by the device's own events: median and quartiles of milliseconds. floor: one reading of q, k, v and
one writing of the output at the speed of a copy that is measured in the same run; share: the floor over the time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

import regard as rg

HERE = Path(__file__).resolve().parent


class Case(NamedTuple):
    """Tokens on their axes, window and stride; batch, heads and head width."""

    axes: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    shape: tuple[int, int, int]
    small: bool = False

    def pattern(self) -> Any:
        return rg.patterns.neighborhood(self.axes, self.window, self.stride)

    def operands(self, device: str, dtype: torch.dtype) -> list[Tensor]:
        batch, heads, dim = self.shape
        draw = torch.Generator().manual_seed(0)
        tokens = torch.Size(self.axes).numel()
        return [torch.randn(batch, heads, tokens, dim, generator=draw).to(device, dtype) for _ in range(3)]


CASES = {
    "56x56, window 7": Case((56, 56), (7, 7), (1, 1), (64, 8, 32), small=True),
    "56x56, window 13": Case((56, 56), (13, 13), (1, 1), (64, 8, 32), small=True),
    "112x112, window 7": Case((112, 112), (7, 7), (1, 1), (16, 8, 64), small=True),
    "112x112, window 13": Case((112, 112), (13, 13), (1, 1), (16, 8, 64), small=True),
    "32768, window 2048": Case((32768,), (2048,), (1,), (1, 1, 128)),
    "32768, window 2048, stride 256": Case((32768,), (2048,), (256,), (1, 1, 128)),
    "256x256, window 80": Case((256, 256), (80, 80), (1, 1), (1, 24, 128)),
    "256x256, window 80, stride 16": Case((256, 256), (80, 80), (16, 16), (1, 24, 128)),
    "30x48x80, window 18x24x24": Case((30, 48, 80), (18, 24, 24), (1, 1, 1), (1, 24, 128)),
    "30x48x80, window 18x24x24, stride 16x8x8": Case((30, 48, 80), (18, 24, 24), (16, 8, 8), (1, 24, 128)),
}
GATE = (
    Case((100,), (9,), (4,), (1, 2, 32)),
    Case((12, 14), (5, 7), (1, 1), (2, 3, 32)),
    Case((12, 14), (5, 7), (5, 3), (2, 3, 64)),
    Case((5, 8, 9), (3, 5, 3), (1, 2, 1), (1, 2, 32)),
)


def run(impl: str, pattern: Any, *operands: Tensor) -> Tensor:
    if impl == "dense":
        return F.scaled_dot_product_attention(*operands)
    return rg.attend(*operands, pattern=pattern, impl=impl).out


def both_ways(function: Callable[..., Tensor], operands: Sequence[Tensor]) -> list[Tensor]:
    """The output, and the gradients of a sum over it that no two numbers enter alike."""
    leaves = [x.detach().clone().requires_grad_() for x in operands]
    out = function(*leaves)
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype, device=out.device).view_as(out)
    return [out.detach(), *torch.autograd.grad(out, leaves, weight)]


def gate(impls: Sequence[str], device: str) -> list[str]:
    """What is wrong, in float32 and in bfloat16; nothing: []."""
    wrong = []
    for impl in impls:
        for dtype, tolerance in ((torch.float32, 2e-3), (torch.bfloat16, 3e-2)):
            for case in GATE:
                operands, pattern = case.operands(device, dtype), case.pattern()
                wanted = both_ways(partial(run, "reference", pattern), [x.double() for x in operands])
                try:
                    got = both_ways(partial(run, impl, pattern), operands)
                except Exception as error:  # of whatever kind: other people's kernels have their own
                    wrong.append(f"{impl}, {dtype}, {case}: {type(error).__name__}: {error}")
                    continue
                for name, one, other in zip(("out", "dq", "dk", "dv"), got, wanted, strict=True):
                    error_of = float((one.double() - other).norm() / other.norm())
                    if not error_of < tolerance:
                        wrong.append(f"{impl}, {dtype}, {case}: {name} is off by {error_of:.2g}")
    return wrong


def timed(function: Callable[[], object], device: str) -> float:
    """Milliseconds, by the device's events."""
    if device == "cpu":
        start = time.process_time()
        function()
        return 1e3 * (time.process_time() - start)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    first.record()
    function()
    last.record()
    torch.cuda.synchronize()
    return float(first.elapsed_time(last))


def in_turn(ways: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, list[float]]:
    """Quartiles of each way's milliseconds; before, each is run twice and not timed."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(2):
        for function in ways.values():
            function()
    for _ in range(rounds):
        for name, function in ways.items():
            found[name].append(timed(function, device))
    return {name: statistics.quantiles(values, n=4) for name, values in found.items()}


def copy_speed(device: str, size: int = 1 << 28) -> float:
    """Bytes read and written in a millisecond."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / min(timed(lambda: target.copy_(source), device) for _ in range(5))


def at(case: Case, impls: Sequence[str], rounds: int, device: str, speed: float) -> dict[str, Any]:
    """Times and shares of one case; a way that refuses, or finds no memory, is told with its reason."""
    batch, heads, dim = case.shape
    pattern, dtype = case.pattern(), torch.bfloat16
    plan = pattern.plan(dim=dim, heads=heads, batch=batch, width=dtype.itemsize)
    operands = case.operands(device, dtype)
    told: dict[str, Any] = {}
    refused: dict[str, str] = {}

    def forward(impl: str) -> None:
        with torch.no_grad():
            run(impl, pattern, *operands)

    for mode, once in (
        ("forward", forward), ("forward and backward", lambda impl: both_ways(partial(run, impl, pattern), operands)),
    ):  # fmt: skip
        ways = {}
        for impl in impls:
            try:
                once(impl)
                ways[impl] = partial(once, impl)
            except (rg.errors.RegardError, torch.OutOfMemoryError) as error:
                refused[f"{impl}, {mode}"] = str(error).splitlines()[0]
        told[mode] = in_turn(ways, rounds, device)
    share = {impl: plan.bytes / speed / times[1] for impl, times in told["forward"].items() if impl != "dense"}
    return {
        **told,
        "floor, ms": plan.bytes / speed,
        "share of the floor": share,
        "refused": refused,
        "flops": plan.flops,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("attention_gpu.py needs a GPU that torch can use; benchmarks/attention.py is for CPUs")
    torch._dynamo.config.recompile_limit = 128  # flex compiles for each size
    impls = ["triton", "flex", *(["natten"] if importlib.util.find_spec("natten") else [])]
    wrong = gate(impls, "cuda")
    if wrong:
        raise SystemExit("the gate is red, so nothing is told:\n" + "\n".join(wrong))
    speed = copy_speed("cuda", 1 << 32)
    found: dict[str, Any] = {
        "machine": f"{torch.cuda.get_device_name()}, torch {torch.__version__}, copy {speed / 1e9:.2f} TB/s"
    }
    print(found["machine"])
    for name, case in CASES.items():
        if given.quick and not case.small:
            continue
        found[name] = at(case, [*impls, "dense"], 7 if given.quick else 25, "cuda", speed)
        for mode in ("forward", "forward and backward"):
            for way, (low, middle, high) in found[name][mode].items():
                part = found[name]["share of the floor"].get(way) if mode == "forward" else None
                told = "" if part is None else f"  {part:.0%} of the floor"
                print(f"{name:42} {mode:21} {way:8} {middle:9.3f} ({low:.3f}-{high:.3f}){told}", flush=True)
    (HERE / "results" / "attention_gpu.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
