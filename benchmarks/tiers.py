"""Which exact execution of a statistic is cheapest: one pass over blocks of rows, or algebra on the fused kernel.

    python benchmarks/tiers.py    prints a table and writes benchmarks/results/tiers.json

Six heads of width 64 at 197, 1,370 and 4,097 tokens, float32; each way costs so many plain
`scaled_dot_product_attention` calls of the same operands (median and quartiles of the ratio, one thread, process CPU
time, in turn). Linear statistics are a second fused call with features in the place of v; entropy is lse minus the
fused product with k; key mass is the gradient of a fused call with respect to v. The gate holds all to explicit rows.
On a machine with a GPU it measures there.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import regard as rg
from regard.core.call import Call, Workspace
from regard.core.plan import parse, read

RESULTS = Path(__file__).resolve().parent / "results" / "tiers.json"
SIDES = {197: 14, 1370: 37, 4097: 64}
ROUNDS = {197: 41, 1370: 15, 4097: 7}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Way = Callable[[], Tensor]


def blocked(call: Call, grid: rg.Grid, probe: Any) -> Way:
    plan, workspace = parse({"it": probe}), Workspace()
    return lambda: read(call, call.values, plan, grid, workspace)["it"]


def ways(tokens: int) -> tuple[Way, dict[str, tuple[Way, Way]]]:
    """The plain call, and for each statistic the blocked pass and its algebra on the fused kernel."""
    g = torch.Generator(DEVICE).manual_seed(0)
    q, k, v = (torch.randn(1, 6, tokens, 64, generator=g, device=DEVICE) for _ in range(3))
    call = Call("site", 0, "sdpa", q, k, v, scale=0.125)
    grid = rg.Grid(SIDES[tokens], SIDES[tokens], prefix=1)
    on_prefix = torch.zeros(1, 6, tokens, 64, device=DEVICE)
    on_prefix[:, :, 0, 0] = 1

    def mass() -> Tensor:
        return F.scaled_dot_product_attention(q, k, on_prefix)[..., 0]

    def entropy() -> Tensor:
        lse = (
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, k)
            if DEVICE == "cpu"
            else torch.ops.aten._scaled_dot_product_efficient_attention(q, k, k, None, True)
        )
        return (lse[1] - (q * lse[0]).sum(-1) * 0.125) / 0.6931471805599453

    def columns() -> Tensor:
        values = torch.zeros(1, 6, tokens, 8, device=DEVICE, requires_grad=True)
        out = F.scaled_dot_product_attention(q, k, values)
        return torch.autograd.grad(out, values, torch.full_like(out, 1 / tokens))[0][..., 0]

    pairs = {
        "mass on a group of keys": (blocked(call, grid, "group_mass"), mass),
        "entropy": (blocked(call, grid, "entropy"), entropy),
        "mass that keys receive": (blocked(call, grid, "received"), columns),
    }
    return lambda: F.scaled_dot_product_attention(q, k, v), pairs


def timed(run: Way) -> float:
    clock = time.process_time if DEVICE == "cpu" else time.perf_counter
    start = clock()
    run()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def main() -> None:
    torch.set_num_threads(1)
    found: dict[str, Any] = {"machine": f"{platform.machine()}, {DEVICE}, torch {torch.__version__}"}
    for tokens in SIDES:
        plain, pairs = ways(tokens)
        for rows, algebra in pairs.values():  # the gate; it also warms up
            torch.testing.assert_close(rows(), algebra(), rtol=1e-3, atol=1e-5)
        ratios: dict[str, list[float]] = {}
        for _ in range(ROUNDS[tokens]):
            unit = timed(plain)
            for name, both in pairs.items():
                for how, run in zip(("rows", "kernel"), both, strict=True):
                    ratios.setdefault(f"{name}, {how}", []).append(timed(run) / unit)
        found[str(tokens)] = {name: statistics.quantiles(values, n=4) for name, values in ratios.items()}
        print(f"\n{tokens} tokens: plain calls that each way costs (quartiles)")
        for name, (low, middle, high) in found[str(tokens)].items():
            print(f"  {name:35} {middle:6.2f} ({low:.2f}-{high:.2f})")
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
