"""What masked explainers cost: error per forward, shortened pictures, peak memory.

    python benchmarks/explain.py                 everything; writes benchmarks/results/explain.json
    python benchmarks/explain.py --part error    one part again: error, drop or memory

error: on one grid of 7 x 7 cells over a blurred picture, the weighting of RISE (each cell's mean score when seen, less
the mean) with 512 random masks against `banzhaf` with one design of 120, both as a share of the reference map's
spread. The reference is the least-squares fit of 8 other designs (960 masks). drop: CPU time of one
thread, ways in turn, medians and quartiles over rounds. memory: growth
of the peak resident set over what the model and one forward hold, each count in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import regard as rg
from regard.api import _subject
from regard.explainers._surrogate import main_effects
from regard.subjects.cells import grid_cells
from regard.subjects.designs import bernoulli, hadamard, whole_design
from regard.subjects.removal import Removal
from regard.subjects.scorer import Scorer

RESULTS = Path(__file__).resolve().parent / "results" / "explain.json"
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
MODELS = ("efficientnet-lite0", "dinov2-small")
CELLS, RANDOM, DESIGNS, DRAWS = 7, 512, 8, 1


def subject(name: str, photo: str) -> tuple[nn.Module, Tensor, Any]:
    """A model, a square picture, and the target: the first class, or the cosine with the picture's own embedding."""
    model = rg.model(name)
    picture = rg.image(f"sample:{photo}")
    side = min(picture.shape[2:])
    top, left = ((s - side) // 2 for s in picture.shape[2:])
    square = picture[0, :, top : top + side, left : left + side]
    x = rg.image(square, like=model, patches=49)  # of a model of free size: a patch a cell
    with torch.no_grad():
        return model, x, model(x)[0].detach() if name.startswith("dino") else None


def error(name: str, photo: str) -> dict[str, list[float]]:
    """RMSE over cells as a share of the reference's standard deviation: of RISE's weighting, and of banzhaf."""
    model, x, target = subject(name, photo)
    cells = grid_cells(x, CELLS)
    draws = torch.Generator().manual_seed(0)
    removal = Removal(Scorer(_subject(model, x), target), cells, "blur", draws)
    whole = whole_design(cells.count)

    def fitted(designs: int) -> Tensor:
        keep = torch.cat([hadamard(whole, cells.count, draws) for _ in range(designs)])
        return main_effects(keep, removal(keep))[0][0]

    def weighted() -> Tensor:
        keep = bernoulli(RANDOM, cells.count, draws)
        y, seen = removal(keep)[:, 0], keep.double()
        return 2 * ((y @ seen) / seen.sum(0) - y.mean())  # of the mean effect, half is told

    reference = fitted(DESIGNS)
    ways: dict[str, Callable[[], Tensor]] = {
        f"rise weighting, {RANDOM} random masks": weighted,
        f"banzhaf, {whole} designed masks": partial(fitted, 1),
    }
    spread = reference.std(correction=0)
    return {
        way: [float((run() - reference).square().mean().sqrt() / spread) for _ in range(DRAWS)]
        for way, run in ways.items()
    }


def timed(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def quartiles(values: list[float]) -> list[float]:
    return [round(v, 4) for v in statistics.quantiles(values, n=4)]


def raw(model: nn.Module, x: Tensor, count: int) -> None:
    """The same number of plain forwards, eight pictures at a time."""
    with torch.no_grad():
        batch = x.repeat(8, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        for start in range(0, count, 8):
            model(batch[: min(8, count - start)])


def drop(rounds: int) -> dict[str, list[float]]:
    """How many times faster DINOv2 scores a picture when a cell's tokens are left out than when it is blurred."""
    model, x, target = subject("dinov2-small", "chelsea")
    draws = torch.Generator().manual_seed(0)
    cells = grid_cells(x, CELLS)
    ways = {
        kind: Removal(Scorer(_subject(model, x), target), cells, kind, draws)  # type: ignore[arg-type]
        for kind in ("blur", "drop")
    }
    found: dict[str, list[float]] = {}
    for share in (0.5, 0.25, 0.1):
        keep = torch.zeros(16, cells.count, dtype=torch.bool)
        for row in keep:
            row[torch.randperm(cells.count, generator=draws)[: round(share * cells.count)]] = True
        times = [[timed(partial(ways[kind], keep)) for kind in ("blur", "drop")] for _ in range(rounds + 1)]
        found[f"{share:.0%} of the cells stay"] = quartiles([blur / short for blur, short in times[1:]])
    return found


def peak(count: int) -> float:
    """MiB that RISE with so many masks takes at its peak above the model and one forward of eight pictures."""
    model, x, _ = subject("efficientnet-lite0", "chelsea")
    raw(model, x, 8)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    rg.explain(model, x, method=partial(rg.explainers.rise, forwards=count), target=0)
    return resident("VmHWM") - before


def resident(which: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(which)).split()[1]) / 1024


def memory() -> dict[str, float]:
    found = {}
    for count in (16, 256):
        command = [sys.executable, __file__, "--peak", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[f"{count} masks"] = round(float(done.stdout), 1)
    return found


def errors(names: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names:
        each = {photo: error(name, photo) for photo in PHOTOS}
        middle = {
            way: statistics.median(statistics.median(one[way]) for one in each.values()) for way in each[PHOTOS[0]]
        }
        found[name] = {"photos": each, "median": middle}
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=("error", "drop", "memory"))
    parser.add_argument("--model", choices=MODELS, help="one model alone, of error")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peak", type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.peak:
        print(peak(given.peak))
        return
    names = (given.model,) if given.model else MODELS
    parts: dict[str, Callable[[], Any]] = {
        "error": lambda: errors(names),
        "drop": lambda: drop(given.rounds),
        "memory": memory,
    }
    for part in [given.part] if given.part else parts:
        made = parts[part]()
        print(part, json.dumps(made, indent=1))
        found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        found["machine"] = f"{platform.machine()}, 1 thread, torch {torch.__version__}"
        found[part] = {**found.get(part, {}), **made}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
