"""What `regard look` costs: seconds, peak memory, and the attention part against a plain forward.

    python benchmarks/look.py            prints a table and writes benchmarks/results/look.json

All forwards are timed in one process, in turn, on one photo; ratios are taken round by round and told as
median and quartiles. The correctness gate runs first: no speed is told of a wrong answer.
"""

from __future__ import annotations

import json
import os
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


def gate(model: nn.Module, x: torch.Tensor) -> None:
    """The watched output is bitwise the plain one; entropies equal those of the stored maps."""
    plain = model(x)
    with rg.watch(model, keep=_keep(2)) as record:
        watched = model(x)
    assert torch.equal(plain, watched)
    for reading, probs in zip(record, unfused_with_hooks(model, x), strict=True):
        slow = -(probs * probs.clamp_min(1e-30).log2()).sum(-1)
        assert torch.allclose(reading["entropy"], slow, atol=1e-3)


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ratios(patches: int) -> dict[str, list[float]]:
    """Quartiles of the time of each way of looking, over a plain forward of the same round."""
    model = rg.model("dinov2-small")
    x = rg.image("sample:coffee", like=model, patches=patches)

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
    }
    with torch.inference_mode():
        gate(model, x)
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
    seconds, peaks = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "regard", "look", *arguments, "--out", out], stdout=subprocess.DEVNULL
            )
            _, status, usage = os.wait4(process.pid, 0)
            assert status == 0
            seconds.append(time.perf_counter() - start)
            peaks.append(usage.ru_maxrss / 1024)
    return {"seconds": sorted(seconds), "peak MiB": sorted(peaks)}


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
        "importing torch alone, peak MiB": _baseline(),
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "look.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def _baseline() -> float:
    program = "import torch, timm, resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
