"""What explainers cost: beside raw forwards, beside peers, error per forward, shortened pictures, peak memory.

    python benchmarks/explain.py                   everything; writes benchmarks/results/explain.json
    python benchmarks/explain.py --part overhead   one part again: overhead, peers, error, drop or memory

overhead: CPU time of a method over that of the model alone on the very batches that the method gave it, less one.
peers: the same question to Captum, pytorch-grad-cam and PAIR saliency on the same model and picture, in turn with
ours: their time over ours (below 1: the peer is faster), and the forwards of both. A gate comes first: nothing is
timed unless both give the same map. Gradients along a path are told per step.
error: on one grid of 7 x 7 cells over a blurred picture, the weighting of RISE (each cell's mean score when seen, less
the mean) with 512 random masks against `banzhaf` with one design of 120 and with 150 masks, as a share of the reference
map's spread. The reference is the least-squares fit of 6 other designs (720 masks); its own error is part of all. The
score of DINOv2 is a linear head's that tells the photos apart. drop: shortened against blurred pictures.
memory: growth of the peak resident set over what the model and one forward hold, each in a process of its own; of
attention methods at 1,370 tokens, what a layer adds beyond what it adds to a plain gradient, and to `rollout` all of it
(an N x N of six heads in float32 would be 43 MiB). RISE's 8,000 masks are taken on a network of one convolution.

One thread; process CPU time, for machines are shared; ways in turn in one process, medians and quartiles over rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.mechanisms import ALL
from regard.subjects.cells import grid_cells
from regard.subjects.designs import bernoulli, whole_design
from regard.subjects.forward import Subject
from regard.subjects.removal import Removal
from regard.subjects.scorer import Scorer

RESULTS = Path(__file__).resolve().parent / "results" / "explain.json"
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
CNN, VIT = "efficientnet-lite0", "dinov2-small"
CELLS, RANDOM, DESIGNS, BUDGET = 7, 512, 6, 150
SITE = "blocks.1"  # of EfficientNet-lite0: 24 channels
ON_CNN: dict[str, dict[str, Any]] = {
    "occlusion": {"cells": CELLS}, "rise": {"forwards": 96}, "lime": {"forwards": 128},
    "kernel_shap": {"forwards": 96}, "shapley_sampling": {"cells": CELLS, "orders": 2}, "banzhaf": {"cells": CELLS},
    "regional_multiscale": {"scales": 2, "samples": 2}, "scorecam": {}, "ablationcam": {},
}  # fmt: skip
ON_VIT: dict[str, dict[str, Any]] = {
    "occlusion": {"cells": CELLS}, "banzhaf": {"cells": CELLS}, "rise": {"forwards": 96}, "tis": {"masks": 256},
    "vit_cx": {},
}  # fmt: skip
ATTENTION = (
    "rollout", "attention", "attention_x_gradient", "transformer_attribution", "attcat", "legrad", "beyond_intuition",
)  # fmt: skip


def square(photo: str) -> Tensor:
    picture = rg.image(f"sample:{photo}")
    side = min(picture.shape[2:])
    top, left = ((s - side) // 2 for s in picture.shape[2:])
    return picture[0, :, top : top + side, left : left + side]


def seen_by(model: nn.Module, picture: Tensor, patches: int) -> Tensor:
    return rg.image(picture, like=model, patches=patches)  # of a model of free size alone


class Headed(nn.Module):
    """DINOv2 under a linear head that tells four photos apart, fitted by ridge to 16 crops of each."""

    def __init__(self, patches: int) -> None:
        super().__init__()
        self.body, draws = rg.model(VIT), torch.Generator().manual_seed(0)
        features = []
        for photo in PHOTOS:
            picture = square(photo)
            side = picture.shape[-1]
            for _ in range(16):
                cut = int(side * (0.5 + 0.5 * float(torch.rand((), generator=draws))))
                top, left = torch.randint(side - cut + 1, (2,), generator=draws).tolist()
                with torch.no_grad():
                    crop = picture[:, top : top + cut, left : left + cut]
                    features.append(self.body(seen_by(self.body, crop, min(patches, 49)))[0])
        rows, kind = torch.stack(features), torch.eye(len(PHOTOS)).repeat_interleave(16, 0)
        centred = rows - rows.mean(0)
        weights = torch.linalg.solve(centred.T @ centred + len(rows) * torch.eye(rows.shape[1]), centred.T @ kind)
        self.register_buffer("weights", weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) @ self.weights


def subject(name: str, photo: str, patches: int) -> tuple[nn.Module, Tensor, int]:
    """A model, a square picture, and the class that is explained."""
    model: nn.Module = Headed(patches).eval() if name == VIT else rg.model(name)
    x = seen_by(model.body if isinstance(model, Headed) else model, square(photo), patches)
    with torch.no_grad():
        return model, x, PHOTOS.index(photo) if name == VIT else int(model(x).argmax())


def method(name: str, given: dict[str, Any]) -> Any:
    return partial(getattr(rg.explainers, name), **given)


def timed(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def in_turn(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round; one round more goes before."""
    times = [{way: timed(run) for way, run in ways.items()} for _ in range(rounds + 1)][1:]
    return {way: [each[way] for each in times] for way in ways}


def quartiles(values: list[float]) -> list[float]:
    return [round(float(v), 4) for v in np.quantile(values, (0.25, 0.5, 0.75))]


def ratio(above: list[float], below: list[float]) -> list[float]:
    return quartiles([a / b for a, b in zip(above, below, strict=True)])


def batches(model: nn.Module, run: Callable[[], object]) -> list[Tensor]:
    """What the model is given meanwhile: pictures of the same shapes, in the memory format that is faster here."""
    made: dict[Any, Tensor] = {}
    seen: list[Tensor] = []

    def note(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        kept = args[0].detach().clone(memory_format=torch.channels_last)
        seen.append(made.setdefault(tuple(kept.shape), kept))

    handle = model.register_forward_pre_hook(note)
    run()
    handle.remove()
    return seen


def forwards(model: nn.Module, given: list[Tensor]) -> None:
    with torch.no_grad():
        for one in given:
            model(one)


def overhead(rounds: int) -> dict[str, dict[str, Any]]:
    """Time beyond that of the same forwards, as a share of it."""
    found: dict[str, dict[str, Any]] = {}
    for name, methods in ((CNN, ON_CNN), (VIT, ON_VIT)):
        model, x, target = subject(name, "chelsea", 49)
        found[name] = {}
        for one, given in methods.items():
            site = SITE if one in ("scorecam", "ablationcam") else None
            run = partial(rg.explain, model, x, method=method(one, given), target=target, site=site)
            raw = batches(model, run)
            times = in_turn({"method": run, "raw": partial(forwards, model, raw)}, rounds)
            beyond = [round(r - 1, 4) for r in ratio(times["method"], times["raw"])]
            found[name][one] = {"forwards": sum(len(b) for b in raw), "beyond": beyond}
            print(name, one, found[name][one], flush=True)
    return found


def peers(rounds: int) -> dict[str, Any]:
    """Their time over ours on EfficientNet-lite0, for maps that agree. Every peer is given eight pictures at a time."""
    model, x, target = subject(CNN, "chelsea", 196)
    ways = {**captum_ways(model, x, target, {"baseline": "mean"}), **cam_ways(model, x, target)}
    found: dict[str, Any] = {}
    for name, (ours, theirs, least) in ways.items():
        alike = float(np.corrcoef(np.ravel(ours()), np.ravel(theirs()))[0, 1])
        if not alike > least:
            raise SystemExit(f"red gate: {name} correlates {alike:.4f} with its peer, not {least}")
        costs = [sum(len(b) for b in batches(model, run)) for run in (ours, theirs)]
        times = in_turn({"ours": ours, "theirs": theirs}, rounds)
        each = ratio([t / costs[1] for t in times["theirs"]], [t / costs[0] for t in times["ours"]])
        found[name] = {
            "correlation": round(alike, 4), "forwards": costs,
            "theirs over ours": ratio(times["theirs"], times["ours"]), "a forward": each,
        }  # fmt: skip
        print(name, found[name], flush=True)
    return found


Way = tuple[Callable[[], Any], Callable[[], Any], float]  # ours, theirs, and how well their maps correlate at least


def asked(model: nn.Module, x: Tensor, target: int, name: str, site: str | None = None, **given: Any) -> Any:
    return rg.explain(model, x, method=method(name, given), target=target, site=site).values


def captum_ways(model: nn.Module, x: Tensor, target: int, base: dict[str, Any]) -> dict[str, Way]:
    """Captum, and PAIR saliency's path: methods that begin at a baseline, here the mean colour."""
    import captum.attr as captum
    import saliency.core as pair

    mean = x.mean((2, 3), keepdim=True).expand_as(x).contiguous()
    labels = grid_cells(x, CELLS).labels[:, None]
    how: dict[str, Any] = {"target": target, "feature_mask": labels, "perturbations_per_eval": 8}
    of_chance = -1.0  # draws of their own: the correlation is told, exactness is for the tests
    ours = partial(partial, asked, model, x, target, **base)

    def of_cells(values: Tensor) -> Tensor:
        return values.detach()[:, 0, 16::32, 16::32]

    def slopes(images: Any, call_model_args: Any = None, expected_keys: Any = None) -> dict[str, Any]:
        leaf = torch.from_numpy(np.asarray(images)).float().requires_grad_()
        (slope,) = torch.autograd.grad(model(leaf)[:, target].sum(), leaf)
        return {pair.base.INPUT_OUTPUT_GRADIENTS: slope.numpy()}

    path = captum.IntegratedGradients(model).attribute
    return {
        "occlusion, Captum FeatureAblation": (
            ours("occlusion", cells=CELLS),
            lambda: of_cells(captum.FeatureAblation(model).attribute(x, mean, **how)), 0.9999,
        ),
        "kernel_shap, Captum KernelShap": (
            ours("kernel_shap", forwards=128),
            lambda: of_cells(captum.KernelShap(model).attribute(x, mean, n_samples=128, **how)), of_chance,
        ),
        "shapley_sampling, Captum ShapleyValueSampling": (
            ours("shapley_sampling", cells=CELLS, orders=4),
            lambda: of_cells(captum.ShapleyValueSampling(model).attribute(x, mean, n_samples=4, **how)), of_chance,
        ),
        "integrated_gradients, 50 steps, Captum": (
            ours("integrated_gradients", steps=50),
            lambda: path(
                x, mean, target=target, n_steps=50, internal_batch_size=8, method="gausslegendre"
            ).detach().sum(1), 0.9999,
        ),
        "integrated_gradients, 50 steps, PAIR saliency": (
            ours("integrated_gradients", steps=50),
            lambda: pair.IntegratedGradients().GetMask(
                x[0].numpy(), slopes, x_steps=50, x_baseline=mean[0].numpy(), batch_size=8
            ).sum(0), 0.5,
        ),
    }  # fmt: skip


def cam_ways(model: nn.Module, x: Tensor, target: int) -> dict[str, Way]:
    """pytorch-grad-cam, on one layer of 24 channels; ours is stretched as theirs before the two are compared.

    Its AblationCAM subtracts 1e7 from a channel that is not all positive, as here: no map to compare.
    """
    import pytorch_grad_cam as package
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer = dict(model.named_modules())[SITE]

    def theirs(kind: str) -> Any:
        with getattr(package, kind)(model, target_layers=[layer]) as peer:
            peer.batch_size = 8
            return peer(x.clone(), [ClassifierOutputTarget(target)])

    def ours(name: str) -> Tensor:
        heat = torch.from_numpy(asked(model, x, target, name, SITE)).clamp_min(0)[None]
        return F.interpolate(heat, x.shape[2:], mode="bilinear")

    names = {"gradcam": "GradCAM", "scorecam": "ScoreCAM"}
    return {
        f"{name}, pytorch-grad-cam": (partial(ours, name), partial(theirs, kind), 0.99) for name, kind in names.items()
    }


def error(photo: str, name: str = VIT) -> dict[str, float]:
    """RMSE over cells as a share of the reference's standard deviation: of RISE's weighting, and of banzhaf."""
    model, x, target = subject(name, photo, 49)  # a patch a cell
    pieces = grid_cells(x, CELLS)
    draws = torch.Generator().manual_seed(0)
    whole = whole_design(pieces.count)

    def fitted(masks: int, seed: int) -> Tensor:
        chosen = method("banzhaf", {"cells": CELLS, "forwards": masks})
        return torch.from_numpy(rg.explain(model, x, method=chosen, target=target, seed=seed).values).flatten()

    keep = bernoulli(RANDOM, pieces.count, draws)
    y, there = Removal(Scorer(Subject(model, x, ALL), target), pieces, "blur", draws)(keep)[:, 0], keep.double()
    weighted = 2 * ((y @ there) / there.sum(0) - y.mean())  # of the mean effect, half is told
    reference = fitted(DESIGNS * whole, 1)
    ways = {
        f"rise weighting, {RANDOM} random masks": weighted,
        **{f"banzhaf, {masks} designed masks": fitted(masks, 0) for masks in (whole, BUDGET)},
    }
    spread = reference.std(correction=0)
    made = {way: round(float((found - reference).square().mean().sqrt() / spread), 4) for way, found in ways.items()}
    print(name, photo, made, flush=True)
    return made


def errors() -> dict[str, Any]:
    each = {photo: error(photo) for photo in PHOTOS}
    return {"photos": each, "median": {way: statistics.median(e[way] for e in each.values()) for way in each["coffee"]}}


def drop(rounds: int) -> dict[str, list[float]]:
    """How many times faster DINOv2 scores a picture when a cell's tokens are left out than when it is blurred."""
    model, x, target = subject(VIT, "chelsea", 196)
    draws = torch.Generator().manual_seed(0)
    pieces = grid_cells(x, CELLS)
    ways = {
        kind: Removal(Scorer(Subject(model, x, ALL), target), pieces, kind, draws)  # type: ignore[arg-type]
        for kind in ("blur", "drop")
    }
    found: dict[str, list[float]] = {}
    for share in (0.5, 0.25, 0.1):
        keep = torch.zeros(16, pieces.count, dtype=torch.bool)
        for row in keep:
            row[torch.randperm(pieces.count, generator=draws)[: round(share * pieces.count)]] = True
        times = in_turn({kind: partial(way, keep) for kind, way in ways.items()}, rounds)
        found[f"{share:.0%} of the cells stay"] = ratio(times["blur"], times["drop"])
    return found


def resident(which: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(which)).split()[1]) / 1024


def peak(what: str, count: int) -> float:
    """MiB at the peak above the model and one forward: of RISE with so many masks, or a method on so many layers."""
    options: dict[str, Any] = {}
    if what == "rise":
        model, x, _ = subject(CNN, "chelsea", 196)
        if count > 1000:  # masks are the same whatever the model, and here they alone are measured
            model = nn.Sequential(nn.Conv2d(3, 2, 32, 32), nn.AdaptiveMaxPool2d(1), nn.Flatten()).eval()
        options = {"forwards": count}
    else:
        how = {"img_size": 518, "patch_size": 14, "depth": count, "num_classes": 10, "pretrained": False}
        model, x = timm.create_model("vit_small_patch16_224", **how).eval(), torch.randn(1, 3, 518, 518)
    forwards(model, [x.repeat(8, 1, 1, 1).contiguous(memory_format=torch.channels_last) if what == "rise" else x])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    rg.explain(model, x, method=method(what, options), target=0)
    return resident("VmHWM") - before


def apart(what: str, count: int) -> float:
    """`peak` in a process of its own."""
    command = [sys.executable, __file__, "--peak", what, str(count)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def memory() -> dict[str, Any]:
    masks = {f"{count} masks": round(apart("rise", count), 1) for count in (256, 8000)}
    print(masks, flush=True)
    layers = {name: round((apart(name, 8) - apart(name, 4)) / 4, 1) for name in (*ATTENTION, "gradient")}
    return {"rise at 224 px, MiB": masks, "a layer more at 1,370 tokens, MiB": layers}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=("overhead", "peers", "error", "drop", "memory"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", nargs=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if given.peak:
        print(peak(given.peak[0], int(given.peak[1])))
        return
    parts: dict[str, Callable[[], Any]] = {
        "overhead": lambda: overhead(given.rounds),
        "peers": lambda: peers(given.rounds),
        "error": errors,
        "drop": lambda: drop(given.rounds),
        "memory": memory,
    }
    for part in [given.part] if given.part else parts:
        made = parts[part]()
        print(part, json.dumps(made, indent=1))
        found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        found["machine"] = f"{platform.machine()}, 1 thread, torch {torch.__version__}"
        RESULTS.write_text(json.dumps({**found, part: made}, indent=1) + "\n")


if __name__ == "__main__":
    main()
