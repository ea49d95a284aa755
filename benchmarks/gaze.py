"""What the predictors without weights reach on people's fixations, and what metrics cost.

    python benchmarks/gaze.py ../shared/osie           prints tables and writes benchmarks/results/gaze.json
    python benchmarks/gaze.py ../shared/osie --quick   every 30th photo instead of every 10th
    python benchmarks/gaze.py --part metrics           one part again: metrics or osie

OSIE (Xu et al. 2014): photos of 800 x 600 pixels, 15 observers; every 10th of the folder. Convention `tuebingen`,
blur 24 px. Each score is the mean over photos with the central 95 % of a bootstrap over them. Seconds are CPU time a
photo on one thread. If pysaliency is installed, metrics are held against it on the same 100 maps of 480 x 640 with 100
fixations each: as functions of arrays, and as the card that users of either library ask for, people's blurred maps and
the shuffled negatives included. Theirs over all maps, then ours, in each of 5 rounds of one process, after both agreed
to 1e-10 on every map; medians, and quartiles of the rounds' ratios. Set OMP_NUM_THREADS=1, for NumPy's products too.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import regard as rg
from regard.gaze import metrics, predictors
from regard.gaze.maps import blurred
from regard.registry import cards

RESULTS = Path(__file__).resolve().parent / "results" / "gaze.json"
SIZE, SIGMA, EPS, ROUNDS = (480, 640), 24.0, 2.2204e-16, 5
VARIANTS: dict[str, Any] = {name: card.function for name, card in cards("gaze.predictors").items()}
VARIANTS["itti, rectified"] = partial(predictors.itti, rectified=True)
VARIANTS["itti, iterative"] = partial(predictors.itti, promote="iterative")


def osie(folder: Path, every: int) -> list[dict[str, Any]]:
    """One row a predictor, and people's and the controls' own."""
    seen = rg.gaze.read_osie(folder).inside()
    names = sorted(seen.images)[::every]
    print(f"{len(names)} photos")
    rows: list[dict[str, Any]] = []
    for name, function in VARIANTS.items():
        maps, seconds = {}, []
        for photo in names:
            x = rg.image(folder / "stimuli" / photo)
            started = time.process_time()
            maps[photo] = rg.gaze.predict(x, function)
            seconds.append(time.process_time() - started)
        fresh = len(rows)
        table = rg.gaze.score(maps, seen.on(*names), controls=not rows)
        told = {row[0]: row[1:4] for row in table.rows}
        rows.append({"who": name, "seconds": statistics.median(seconds), **told})
        if len(rows) == 1:
            for control in ("people", "centre", "other picture", "uniform"):
                found = zip(table.column("metric"), table.column(control), strict=True)
                rows.append({"who": control, **{m: (v, None, None) for m, v in found}})
        print("\n".join(map(_line, rows[fresh:])))
    return rows


def _line(row: dict[str, Any]) -> str:
    scores = "  ".join(f"{m} {row[m][0]:.3f}" for m in ("AUC", "sAUC", "NSS", "CC", "KL", "SIM"))
    return f"{row['who']:20} {scores}  {row.get('seconds', 0):.2f} s"


def drawn() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """100 maps and maps of people of noise, and 100 fixations on each."""
    rng = np.random.default_rng(0)
    return [(rng.random(SIZE), rng.random(SIZE), rng.random((100, 2)) * SIZE[::-1]) for _ in range(100)]


def in_turn(ways: dict[str, tuple[Callable[[], list[float]], Callable[[], list[float]]]]) -> dict[str, Any]:
    """CPU ms a map of both, theirs first, over all 100 maps and ROUNDS times; quartiles of the rounds' ratios.

    The values of both, one a map, must agree to 1e-10 or nothing is reported.
    """
    spent: dict[str, list[list[float]]] = {name: [[], []] for name in ways}
    for _ in range(ROUNDS):
        for name, pair in ways.items():
            values = []
            for way, log in zip(pair, spent[name], strict=True):
                started = time.process_time()
                values.append(np.array(way(), dtype=float))
                log.append(10 * (time.process_time() - started))
            worst = float(np.abs(values[0] - values[1]).max())
            assert worst < 1e-10, (name, worst)
    whole = [np.sum([logs[which] for logs in spent.values()], 0).tolist() for which in (0, 1)]
    return {name: _row(name, *logs) for name, logs in {**spent, "all": whole}.items()}


def _row(name: str, slow: list[float], fast: list[float]) -> dict[str, Any]:
    ratio = statistics.quantiles([a / b for a, b in zip(slow, fast, strict=True)], n=4)
    theirs, ours = statistics.median(slow), statistics.median(fast)
    print(f"{name:5} pysaliency {theirs:7.2f} ms, regard {ours:6.2f} ms, x {ratio[1]:.1f}")
    return {"pysaliency ms": theirs, "ms": ours, "ratio": ratio}


def functions() -> dict[str, Any]:
    """Five metrics as functions of arrays."""
    from pysaliency import metrics as theirs
    from pysaliency.roc import general_roc

    given = drawn()
    tensors = [tuple(torch.from_numpy(a) for a in one) for one in given]

    def both(slow: Callable[..., Any], fast: Callable[..., Any]) -> Any:
        return lambda: [float(slow(*one)) for one in given], lambda: [float(fast(*one)) for one in tensors]

    return in_turn(
        {
            "NSS": both(lambda s, t, p: theirs.NSS(s, *p.T.astype(int)).mean(), lambda s, t, p: metrics.nss(s, p)),
            "CC": both(lambda s, t, p: theirs.CC(s, t), lambda s, t, p: metrics.cc(s, t)),
            "SIM": both(lambda s, t, p: theirs.SIM(s, t), lambda s, t, p: metrics.sim(s, t)),
            "KL": both(lambda s, t, p: theirs.MIT_KLDiv(s, t), lambda s, t, p: metrics.kld(s, t)),
            "AUC": both(
                lambda s, t, p: general_roc(s[tuple(p.T.astype(int)[::-1])], s.ravel())[0],
                lambda s, t, p: metrics.auc(s, p),
            ),
        }
    )


def card() -> dict[str, Any]:
    """What users of either library call, over maps and fixations: the blur of people's maps counts, and the negatives
    of shuffled AUC (9,900 fixations on the other pictures) are each library's own work.

    Theirs: methods of SaliencyMapModel, whose maps are cached before, with FixationMap as people's. Information gain is
    over a flat map, of maps divided by their sums.
    """
    import pysaliency as package
    from pysaliency.models import SaliencyMapNormalizingModel

    given = drawn()
    stimuli = package.Stimuli([np.full((*SIZE, 3), i, dtype=np.uint8) for i in range(100)])
    xy, at = np.concatenate([p for *_, p in given]), np.arange(100).repeat(100)
    looked = package.Fixations.create_without_history(xy[:, 0], xy[:, 1], at)

    class Ready(package.SaliencyMapModel):
        def saliency_map(self, stimulus: Any) -> Any:
            return given[int(getattr(stimulus, "stimulus_data", stimulus)[0, 0, 0])][0]

        _saliency_map = saliency_map

    model, density = Ready(), SaliencyMapNormalizingModel(Ready())
    people: list[Any] = []
    eps = {"minimum_value": 0, "log_regularization": EPS, "quotient_regularization": EPS}

    def theirs_blurred() -> list[float]:
        people[:] = [package.FixationMap(stimuli, looked, kernel_size=SIGMA, convolution_mode="constant")]
        return [float(one.max() / one.sum()) for one in map(people[0].saliency_map, stimuli)]

    def means(values: Any) -> list[float]:
        return np.asarray(values).reshape(100, 100).mean(1).tolist()

    seen = rg.gaze.Fixations(xy, image=at.astype(str), size=SIZE, per_degree=SIGMA)
    heats, points = ([torch.from_numpy(one[k]) for one in given] for k in (0, 2))
    flat, truths, others = torch.full(SIZE, 1 / heats[0].numel(), dtype=torch.float64), [], []

    def ours_blurred() -> list[float]:
        truths[:] = [torch.from_numpy(blurred(seen.where(np.arange(100) + 100 * i))) for i in range(100)]
        return [float(t.max()) for t in truths]

    def ours_shuffled() -> list[float]:
        others[:] = [torch.from_numpy(np.delete(xy, np.arange(100) + 100 * i, axis=0)) for i in range(100)]
        return [float(metrics.sauc(*one)) for one in zip(heats, points, others, strict=True)]

    def each(metric: Callable[..., Any], *columns: list[Any]) -> Callable[[], list[float]]:
        return lambda: [float(metric(*one)) for one in zip(heats, *columns, strict=True)]

    return in_turn(
        {
            "AUC": (lambda: model.AUC_per_image(stimuli, looked), each(metrics.auc, points)),
            "sAUC": (lambda: model.AUC_per_image(stimuli, looked, nonfixations="shuffled"), ours_shuffled),
            "NSS": (lambda: means(model.NSSs(stimuli, looked)), each(metrics.nss, points)),
            "IG": (
                lambda: means(density.information_gains(stimuli, looked)),
                lambda: [
                    float(metrics.information_gain(h / h.sum(), p, flat)) for h, p in zip(heats, points, strict=True)
                ],
            ),
            "blur": (theirs_blurred, ours_blurred),
            "CC": (lambda: model.CCs(stimuli, people[0]), each(metrics.cc, truths)),
            "SIM": (lambda: model.SIMs(stimuli, people[0]), each(metrics.sim, truths)),
            "KL": (lambda: model.image_based_kl_divergences(stimuli, people[0], **eps), each(metrics.kld, truths)),
        }
    )


def whole() -> dict[str, Any]:
    """CPU ms a map of `rg.gaze.score` itself: with people's own column (two halves of them), and with controls too."""
    given = drawn()
    at, who = np.arange(100).repeat(100).astype(str), np.tile(np.arange(10).repeat(10), 100).astype(str)
    seen = rg.gaze.Fixations(np.concatenate([p for *_, p in given]), None, who, at, SIZE, SIGMA)
    maps = {str(i): rg.Map(s[None], rg.Grid(*SIZE), "noise") for i, (s, *_) in enumerate(given)}
    told = {}
    for name, controls in (("map and people", False), ("and three controls", True)):
        started = time.process_time()
        rg.gaze.score(maps, seen, controls=controls)
        told[name] = 10 * (time.process_time() - started)
    print("rg.gaze.score, ms a map:", {name: round(v, 1) for name, v in told.items()})
    return told


def against_pysaliency() -> dict[str, Any] | None:
    """The two comparisons, and what `rg.gaze.score` costs; None where pysaliency is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import pysaliency  # noqa: F401
        except ImportError:
            return None
        return {"functions": functions(), "card": card(), "rg.gaze.score ms": whole()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("osie", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", choices=("metrics", "osie"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if given.part else {}
    found |= {"machine": f"{platform.machine()}, one thread", "torch": torch.__version__}
    if given.part in (None, "metrics"):
        found["metrics against pysaliency"] = against_pysaliency()
    if given.part in (None, "osie"):
        if given.osie is None:
            parser.error("the folder of OSIE is missing")
        found["photos"] = "every 30th" if given.quick else "every 10th"
        found["osie"] = osie(given.osie, 30 if given.quick else 10)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
