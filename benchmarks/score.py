"""What it costs to judge maps: deletion, insertion, infidelity and SaCo of 16 maps of one photo, beside Quantus.

    python benchmarks/score.py                 everything; writes benchmarks/results/score.json
    python benchmarks/score.py --part road     one part again: together or road

The 16 maps are those of a comparison: ten methods and six controls on one grid of 7 x 7 cells.
together: regard draws one bank of orders and one of masks for all maps. Quantus 0.6 takes all maps as one batch,
deletes and inserts in as many steps (`PixelFlipping` of the map and of its negative) and takes about as many masks
for infidelity (five rounds of 49 squares). It is given the model as a function of cells, which spares it the work
over pixels, and has no SaCo, so that its side does less. "with a null": each score beside those of 19 random orders
or maps, which Quantus does not offer. road: the noisy linear imputation beside pytorch-grad-cam's, per map, both
orders at four shares. CPU time of one thread, all ways in turn in one process; median, least and most. Nothing is
reported unless the curves of both libraries agree first. Xplique needs TensorFlow and is not run.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import regard as rg
from regard.api import _subject
from regard.runs.examine import _maps
from regard.subjects.bank import compose, removal_scores
from regard.subjects.baseline import baseline_picture
from regard.subjects.forward import Forward

RESULTS = Path(__file__).resolve().parent / "results" / "score.json"
METHODS = (
    "gradcam", "gradcam_plus_plus", "layercam", "xgradcam", "hirescam", "eigencam", "normgrad", "fullgrad", "gradient",
    "input_x_gradient",
)  # fmt: skip
METRICS = ("deletion", "insertion", "infidelity", "saco")
CELLS, STEP, ORDERS, SQUARES = 7, 7, 19, 5
STEPS = -(-(CELLS * CELLS) // STEP)


class OfCells(nn.Module):
    """The model as a function of which cells are there (1) and which are replaced (0): Quantus then handles 49 features
    instead of 150,528, which is faster than its way over pixels and lets its steps be whole cells."""

    def __init__(self, model: nn.Module, x: Tensor, replaced: Tensor) -> None:
        super().__init__()
        self.model, self.x, self.replaced = model, x, replaced

    def forward(self, there: Tensor) -> Tensor:
        return self.model(compose(self.x, self.replaced, there.flatten(1) < 0.5, rg.Grid(CELLS, CELLS)))


class Setting:
    """A model, a photo, its class, 16 maps on 7 x 7 cells, and the photo without evidence."""

    def __init__(self) -> None:
        self.model: nn.Module = rg.model("efficientnet-lite0")
        self.x: Tensor = rg.image("sample:coffee", like=self.model)
        on = _subject(self.model, self.x)
        self.forward = Forward(on, None)
        self.target = self.forward.target.index[0]
        self.grid = rg.Grid(CELLS, CELLS)
        made, _ = _maps(on, METHODS, self.grid, self.target, self.forward, 0)
        self.maps = torch.stack([m + 1e-6 * torch.arange(49).view(7, 7) * m.abs().max() for m in made.values()])
        self.replaced = baseline_picture(self.x, "mean").contiguous()
        self.cells = OfCells(self.model, self.x, self.replaced).eval()

    def as_map(self, values: Tensor) -> rg.Map:
        return rg.Map(values[None].numpy(), self.grid, "given", target_index=(self.target,))


def regard_scores(s: Setting, metrics: tuple[str, ...], orders: int) -> list[list[rg.Score]]:
    """All metrics of all maps, over one bank of orders and one of masks."""
    how = {"target": s.target, "baseline": "mean"}
    first = s.as_map(s.maps[0])
    bank = rg.bank(s.model, s.x, first, orders=orders, steps=STEPS, **how)  # type: ignore[arg-type]
    masks = rg.masks(s.model, s.x, first, **how) if {"infidelity", "saco"} & set(metrics) else None  # type: ignore[arg-type]
    given = {"deletion": bank, "insertion": bank, "infidelity": masks, "saco": masks}
    return [
        [rg.score(s.as_map(m), s.model, s.x, metric=name, bank=given[name], target=s.target) for name in metrics]
        for m in s.maps
    ]


def quantus_scores(s: Setting, metrics: tuple[str, ...], maps: Tensor) -> dict[str, Any]:
    """The same questions to Quantus: all maps as one batch."""
    import quantus

    n = len(maps)
    how: dict[str, Any] = {"disable_warnings": True, "display_progressbar": False, "normalise": False}
    call: dict[str, Any] = {
        "model": s.cells, "x_batch": np.ones((n, 1, CELLS, CELLS), np.float32), "y_batch": np.full(n, s.target),
        "device": "cpu",
    }  # fmt: skip
    a = (maps - maps.mean((1, 2), keepdim=True)).numpy()[:, None]  # it refuses maps that are negative throughout
    found: dict[str, Any] = {}
    if "deletion" in metrics:
        flips = quantus.PixelFlipping(features_in_step=STEP, perturb_baseline=0.0, **how)
        found["deletion"] = flips(a_batch=a, softmax=True, **call)
    if "insertion" in metrics:
        flips = quantus.PixelFlipping(features_in_step=STEP, perturb_baseline=0.0, **how)
        found["insertion"] = flips(a_batch=-a, softmax=True, **call)
    if "infidelity" in metrics:
        judge = quantus.Infidelity(perturb_patch_sizes=[1], n_perturb_samples=SQUARES, perturb_baseline=0.0, **how)
        found["infidelity"] = judge(a_batch=a, softmax=False, **call)
    return found


def gate(s: Setting) -> dict[str, float]:
    """Curves of both libraries over the same stages, and ROAD's in-fill: raises where they do not agree."""
    import quantus  # noqa: F401

    theirs = quantus_scores(s, ("deletion", "insertion"), s.maps[:3])
    removed = torch.tensor([0, *range(STEP, CELLS * CELLS, STEP), CELLS * CELLS])
    worst = 0.0
    for name, sign in (("deletion", 1), ("insertion", -1)):
        orders = (-sign * s.maps[:3]).flatten(1).argsort(1)
        ours = removal_scores(s.forward, s.x, s.replaced, s.grid, orders, removed)[:, 1:]
        worst = max(worst, float(np.abs(ours.numpy() - np.array(theirs[name])).max()))
    filled = float((_filled(s)[0] - _filled(s)[1]).abs().max())
    if worst > 1e-4 or filled > 1e-4:
        raise SystemExit(f"red gate: curves differ by {worst:.1e}, in-fills by {filled:.1e} of a standard deviation")
    return {"largest difference of a curve": worst, "largest difference of an in-fill, standard deviations": filled}


def _filled(s: Setting) -> tuple[Tensor, Tensor]:
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer

    from regard.metrics._linear_infill import linear_infill

    keep = (s.maps[0] < s.maps[0].quantile(0.5)).repeat_interleave(32, 0).repeat_interleave(32, 1)
    return linear_infill(s.x, keep[None])[0] / s.x.std(), NoisyLinearImputer(noise=0)(s.x[0], keep.float()) / s.x.std()


def regard_road(s: Setting) -> list[float]:
    from functools import partial

    road = partial(rg.metrics.road, random=0)
    return [rg.score(s.as_map(m), s.model, s.x, metric=road, target=s.target).value for m in s.maps[:4]]


def cam_road(s: Setting) -> list[float]:
    from pytorch_grad_cam.metrics.road import ROADCombined
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget

    made = []
    for m in s.maps[:4]:
        large = np.kron(m.numpy(), np.ones((32, 32)))[None]
        judge = ROADCombined(percentiles=[20, 40, 60, 80])
        made.append(float(judge(s.x, large, [ClassifierOutputSoftmaxTarget(s.target)], s.model)[0]))
    return made


def in_turn(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, Any]:
    """Seconds of CPU of each way, one after the other in each round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
            print(name, round(times[name][-1], 1), flush=True)
    return {
        name: {"median": round(statistics.median(t), 2), "least": round(min(t), 2), "most": round(max(t), 2)}
        for name, t in times.items()
    }


def ratios(times: dict[str, Any], pairs: dict[str, tuple[str, str]]) -> dict[str, float]:
    """How many times less the second of each pair takes."""
    return {name: round(times[slow]["median"] / times[fast]["median"], 2) for name, (slow, fast) in pairs.items()}


def together(s: Setting, rounds: int) -> dict[str, Any]:
    three = ("deletion", "insertion", "infidelity")
    times = in_turn({
        "regard, all four": lambda: regard_scores(s, METRICS, 0),
        "regard, all four with a null": lambda: regard_scores(s, METRICS, ORDERS),
        "regard, deletion": lambda: regard_scores(s, ("deletion",), 0),
        "Quantus, deletion": lambda: quantus_scores(s, ("deletion",), s.maps),
        "Quantus, all but SaCo": lambda: quantus_scores(s, three, s.maps),
    }, rounds)  # fmt: skip
    faster = {
        "all": ("Quantus, all but SaCo", "regard, all four"),
        "all, a null on our side alone": ("Quantus, all but SaCo", "regard, all four with a null"),
        "deletion alone": ("Quantus, deletion", "regard, deletion"),
    }  # fmt: skip
    return {"maps": len(s.maps), "seconds": times, "times faster": ratios(times, faster)}


def road(s: Setting, rounds: int) -> dict[str, Any]:
    times = in_turn({"regard": lambda: regard_road(s), "grad-cam": lambda: cam_road(s)}, rounds)
    return {"maps": 4, "seconds": times, "times faster": ratios(times, {"road": ("grad-cam", "regard")})}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=("together", "road"))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    s = Setting()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found["gate"] = gate(s)
    found["machine"] = f"{platform.machine()}, 1 thread, torch {torch.__version__}"
    parts: dict[str, Callable[[Setting, int], Any]] = {"road": road, "together": together}
    for part in [given.part] if given.part else parts:
        found[part] = parts[part](s, given.rounds)
        print(part, json.dumps(found[part], indent=1))
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
