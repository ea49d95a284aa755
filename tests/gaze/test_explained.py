"""Maps of methods against people: planted eyes are told from controls, numbers equal the metrics, crops count."""

from __future__ import annotations

import numpy as np
import pytest

from regard.errors import DegenerateError, LayoutError
from regard.gaze import metrics
from regard.gaze.data import Fixations
from regard.gaze.explained import COLUMNS, explained

SIZE = (40, 60)
WHOLE = (0.0, 0.0, 60.0, 40.0)


def planted(n: int = 5) -> tuple[Fixations, dict[str, dict[str, np.ndarray]]]:
    """Six people look at a spot of each picture; one method knows it, one does not, one knows it with the sign lost."""
    rng = np.random.default_rng(0)
    xy, image, observer, maps = [], [], [], {}
    for i in range(n):
        middle = rng.uniform([8, 8], [52, 32])
        xy.append(rng.normal(middle, 2, (24, 2)))
        image += [f"p{i}"] * 24
        observer += [str(o) for o in range(6)] * 4
        y, x = np.mgrid[0:8, 0:12] * 5 + 2.5
        good = np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / 50)
        maps[f"p{i}"] = {"good": good - 0.5, "noise": rng.normal(size=(8, 12)), "inverted": -good}
    return Fixations(np.concatenate(xy), image=image, observer=observer, size=SIZE, per_degree=3.0), maps


def test_planted_eyes_are_told_from_controls() -> None:
    eyes, maps = planted()
    told = explained(maps, dict.fromkeys(maps, WHOLE), eyes)
    assert told.columns == COLUMNS
    for metric in ("NSS", "AUC", "sAUC", "CC"):
        means = {row[1]: row[3] for row in told.rows if row[0] == metric}
        assert means["good"] > means["centre prior"]
        assert means["good"] > means["noise"] > means["inverted"]
        assert means["people"] > means["centre prior"]
        over = {row[1]: row[6] for row in told.rows if row[0] == metric}
        assert over["centre prior"] == 0
        assert over["good"] == pytest.approx(means["good"] - means["centre prior"])


def test_numbers_equal_the_metrics_by_hand() -> None:
    import torch
    from torch.nn import functional as F

    eyes, maps = planted()
    told = explained(maps, dict.fromkeys(maps, WHOLE), eyes)
    by_hand = []
    for name, made in maps.items():
        big = F.interpolate(torch.from_numpy(made["noise"])[None, None], SIZE, mode="bilinear")[0, 0]
        by_hand.append(float(metrics.nss(big, torch.from_numpy(eyes.on(name).xy))))
    row = next(r for r in told.rows if r[:2] == ("NSS", "noise"))
    assert row[3] == pytest.approx(np.mean(by_hand))
    assert row[4] < row[3] < row[5]


def test_what_the_model_did_not_see_does_not_count() -> None:
    """The model saw a crop; fixations outside it are dropped, those inside moved. A forgotten shift scores worse."""
    eyes, maps = planted()
    crop = (5.0, 4.0, 45.0, 36.0)
    inside = {}
    for name, made in maps.items():
        big = np.kron(made["good"], np.ones((5, 5)))
        inside[name] = {"good": big[4:36, 5:45]}
    told = explained(inside, dict.fromkeys(maps, crop), eyes)
    kept = eyes.xy[(eyes.xy[:, 0] >= 5) & (eyes.xy[:, 0] < 45) & (eyes.xy[:, 1] >= 4) & (eyes.xy[:, 1] < 36)]
    assert f"{len(kept)} fixations" in told.title
    wrong = explained(inside, dict.fromkeys(maps, (0.0, 0.0, 40.0, 32.0)), eyes)
    right = {row[1]: row[3] for row in told.rows if row[0] == "NSS"}
    assert right["good"] > {row[1]: row[3] for row in wrong.rows if row[0] == "NSS"}["good"] + 0.3


def test_refusals() -> None:
    eyes, maps = planted(2)
    with pytest.raises(DegenerateError, match="people looked at"):
        explained({"other": {}}, {"other": WHOLE}, eyes)
    with pytest.raises(LayoutError, match="different parts"):
        explained(maps, {"p0": WHOLE, "p1": (1.0, 0.0, 60.0, 40.0)}, eyes)
