"""What `regard look` costs: seconds, peak memory, and the attention part against a plain forward.

    python benchmarks/look.py            prints a table and writes benchmarks/results/look.json

All forwards are timed in one process, in turn, on one photo; ratios are taken round by round and told as
median and quartiles. The correctness gate runs first: no speed is told of a wrong answer.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import regard as rg
from regard.looking.attention import _keep

HERE = Path(__file__).resolve().parent
ROUNDS = 21


def unfused_with_hooks(model: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """What people do today: switch the fused kernel off and store every map by a hook on attn_drop."""
    kept: list[torch.Tensor] = []
    blocks = list(model.blocks)
    hooks = [b.attn.attn_drop.register_forward_hook(lambda _, __, out: kept.append(out)) for b in blocks]
    for block in blocks:
        block.attn.fused_attn = False
    try:
        model(x)
    finally:
        for block, hook in zip(blocks, hooks, strict=True):
            block.attn.fused_attn = True
            hook.remove()
    return kept


def the_same_numbers(model: nn.Module, x: torch.Tensor, grid: rg.Grid) -> list[tuple[torch.Tensor, ...]]:
    """From the stored maps, what `regard look` keeps: entropy, distance, CLS row, received, pooled queries."""
    lengths, cell = grid.distances(), grid.cells(2)
    size = torch.bincount(cell)
    found = []
    for probs in unfused_with_hooks(model, x):
        on_patches = probs[..., grid.prefix :]
        entropy = -(probs * probs.clamp_min(1e-30).log2()).sum(-1)
        among = on_patches[:, :, grid.prefix :]
        distance = (among * lengths).sum(-1) / among.sum(-1)
        pooled = probs.new_zeros(*probs.shape[:2], len(size), grid.patches).index_add_(2, cell, among) / size[:, None]
        found.append((entropy, distance, probs[:, :, 0].clone(), probs.mean(2), pooled))
    return found


def gate(model: nn.Module, x: torch.Tensor, grid: rg.Grid) -> None:
    """The watched output is bitwise the plain one; the numbers equal those of the stored maps."""
    plain = model(x)
    with rg.watch(model, keep=_keep(2)) as record:
        watched = model(x)
    assert torch.equal(plain, watched)
    for reading, slow in zip(record, the_same_numbers(model, x, grid), strict=True):
        assert torch.allclose(reading["entropy"], slow[0], atol=1e-3)
        assert torch.allclose(reading["distance"][..., grid.prefix :], slow[1], atol=1e-3)
        for name, value in zip(("row", "received", "pooled"), slow[2:], strict=True):
            assert torch.allclose(reading[name].reshape(value.shape), value, rtol=1e-3, atol=1e-5), name


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ratios(patches: int) -> dict[str, list[float]]:
    """Quartiles of the time of each way of looking, over a plain forward of the same round."""
    model = rg.model("dinov2-small")
    x = rg.image("sample:coffee", like=model, patches=patches)
    grid = rg.Grid(x.shape[-2] // 14, x.shape[-1] // 14, prefix=1)

    def watched(keep: object) -> Callable[[], object]:
        def run() -> None:
            with rg.watch(model, keep=keep):  # type: ignore[arg-type]
                model(x)

        return run

    ways = {
        "watch, nothing kept": watched(()),
        "watch, CLS rows": watched({"row": rg.probes.row}),
        "watch, all that look shows": watched(_keep(2)),
        "unfused + hooks that store maps": lambda: unfused_with_hooks(model, x),
        "unfused + hooks, then the same numbers": lambda: the_same_numbers(model, x, grid),
    }
    with torch.inference_mode():
        gate(model, x, grid)
        model(x)
        rounds: dict[str, list[float]] = {name: [] for name in ways}
        plain: list[float] = []
        for _ in range(ROUNDS):
            plain.append(timed(lambda: model(x)))
            for name, way in ways.items():
                rounds[name].append(timed(way) / plain[-1])
    found = {"plain forward, seconds": statistics.quantiles(plain, n=4)}
    return found | {name: statistics.quantiles(values, n=4) for name, values in rounds.items()}


def whole_command(arguments: list[str], runs: int = 3) -> dict[str, list[float]]:
    """Seconds and peak memory of `regard look` as its own process, the weights being cached."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "regard", "look", *arguments, "--fresh", "--out", out]
        found = [measured(command) for _ in range(runs)]
    return {"seconds": sorted(f[0] for f in found), "peak MiB": sorted(f[1] for f in found)}


def measured(command: list[str]) -> tuple[float, float]:
    """Through a bare interpreter between: a child's peak starts at the size of the process that forks it."""
    between = (
        "import subprocess, sys, time, resource; start = time.perf_counter();"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    told = subprocess.run([sys.executable, "-c", between, *command], check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak = told.stdout.split()
    return float(seconds), float(peak)


def main() -> None:
    found = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "forward ratios at 600 patches [q1, median, q3]": ratios(576),
        "forward ratios at 1014 patches [q1, median, q3]": ratios(1024),
        "regard look sample:coffee": whole_command(["sample:coffee"]),
        "regard look sample:coffee --model efficientnet-lite0": whole_command(
            ["sample:coffee", "--model", "efficientnet-lite0"]
        ),
        "importing torch and timm alone, peak MiB": measured([sys.executable, "-c", "import torch, timm"])[1],
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "look.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
