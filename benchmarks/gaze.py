"""What the predictors without weights reach on people's fixations, and what metrics cost.

    python benchmarks/gaze.py ../shared/osie           prints tables and writes benchmarks/results/gaze.json
    python benchmarks/gaze.py ../shared/osie --quick   every 30th photo instead of every 10th

OSIE (Xu et al. 2014): photos of 800 x 600 pixels, 15 observers; every 10th of the folder. Convention `tuebingen`,
blur 24 px. Each score is the mean over photos with the central 95 % of a bootstrap over them. Seconds are CPU time a
photo on one thread. If pysaliency is installed, its NSS, CC, SIM, KL and AUC are timed on the same 100 maps of
480 x 640 in turn with ours, in one process, after they agreed to 1e-10.
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
from regard.registry import cards

HERE = Path(__file__).resolve().parent
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


def against_pysaliency() -> dict[str, Any] | None:
    """Time of five metrics on 100 maps, theirs over ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pysaliency import metrics as theirs
            from pysaliency.roc import general_roc
    except ImportError:
        return None
    rng = np.random.default_rng(0)
    pairs: dict[str, tuple[Callable[..., float], Callable[..., float]]] = {
        "NSS": (lambda s, t, p: theirs.NSS(s, *p.T.astype(int)).mean(), lambda s, t, p: metrics.nss(s, p)),
        "CC": (lambda s, t, p: theirs.CC(s, t), lambda s, t, p: metrics.cc(s, t)),
        "SIM": (lambda s, t, p: theirs.SIM(s, t), lambda s, t, p: metrics.sim(s, t)),
        "KL": (lambda s, t, p: theirs.MIT_KLDiv(s, t), lambda s, t, p: metrics.kld(s, t)),
        "AUC": (
            lambda s, t, p: general_roc(s[tuple(p.T.astype(int)[::-1])], s.ravel())[0],
            lambda s, t, p: metrics.auc(s, p),
        ),
    }
    spent: dict[str, list[list[float]]] = {name: [[], []] for name in pairs}
    for _ in range(100):
        s, t, p = rng.random((480, 640)), rng.random((480, 640)), rng.random((100, 2)) * [640, 480]
        given = ((s, t, p), tuple(torch.from_numpy(a) for a in (s, t, p)))
        for name, ways in pairs.items():
            values = []
            for way, args, log in zip(ways, given, spent[name], strict=True):
                started = time.process_time()
                values.append(float(way(*args)))
                log.append(time.process_time() - started)
            assert abs(values[0] - values[1]) < 1e-10, (name, values)
    found = {}
    for name, (slow, fast) in spent.items():
        ratios = statistics.quantiles([a / b for a, b in zip(slow, fast, strict=True)], n=4)
        theirs_ms, ours_ms = (1e3 * statistics.median(log) for log in (slow, fast))
        found[name] = {"pysaliency ms": theirs_ms, "ms": ours_ms, "ratio": ratios}
        print(f"{name:4} pysaliency {theirs_ms:.2f} ms, regard {ours_ms:.2f} ms, x {ratios[1]:.1f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("osie", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "machine": f"{platform.machine()}, one thread",
        "torch": torch.__version__,
        "photos": "every 30th" if given.quick else "every 10th",
        "metrics against pysaliency": against_pysaliency(),
        "osie": osie(given.osie, 30 if given.quick else 10),
    }
    target = HERE / "results" / "gaze.json"
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
