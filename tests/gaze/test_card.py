"""The card: columns by hand, ceilings of known people, controls where they must be, honest gaps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.errors import DegenerateError, LayoutError
from regard.gaze import metrics
from regard.gaze.card import Judge, halves, one_left_out, people, score_all
from regard.gaze.conventions import convention
from regard.gaze.data import Fixations
from regard.gaze.maps import blurred

SIZE = (30, 40)
SPOTS = {"a": (8, 8), "b": (30, 8), "c": (8, 22), "d": (30, 22)}


def crowd(seed: int = 0, people: int = 6, each: int = 5) -> Fixations:
    """On each picture everybody looks at its own spot."""
    rng = np.random.default_rng(seed)
    xy, who, where = [], [], []
    for name, spot in SPOTS.items():
        for one in range(people):
            xy += rng.normal(spot, 1.5, (each, 2)).tolist()
            who += [str(one)] * each
            where += [name] * each
    return Fixations(xy, 0.2 * np.ones(len(xy)), who, where, size=SIZE, per_degree=2.0)


def test_scores_are_the_metrics_with_their_options() -> None:
    seen = crowd().on("a")
    heat = np.random.default_rng(1).random(SIZE)
    got = Judge(convention("mit"), 2.0).scores(heat, seen)
    h, p, t = torch.from_numpy(heat), torch.from_numpy(seen.xy), torch.from_numpy(blurred(seen, sigma=2.0))
    assert got == {
        "AUC-Judd": float(metrics.auc_judd(h, p, jitter=1e-7)),
        "AUC-Borji": float(metrics.auc_borji(h, p)),
        "NSS": float(metrics.nss(h, p, sample=True, merge=True)),
        "CC": float(metrics.cc(h, t)),
        "KL": float(metrics.kld(h, t)),
        "SIM": float(metrics.sim(h, t, stretch=True)),
    }
    several = Judge(convention("mit"), 2.0).scored([heat, None, heat], seen)
    assert several[0] == several[2] == got
    assert list(several[1]) == list(got)
    assert np.isnan(list(several[1].values())).all()
    with pytest.raises(LayoutError, match=r"a map of \[5, 5\] for a picture of \[30, 40\]"):
        Judge(convention("mit"), 2.0).scores(np.ones((5, 5)), seen)


def test_halves_and_left_out_share_nobody() -> None:
    seen = crowd().on("a")
    one, other = halves(seen, seed=3)
    assert not set(one.observers) & set(other.observers)
    assert len(one) + len(other) == len(seen)
    splits = list(one_left_out(seen))
    assert [own.observers for own, _ in splits] == [[name] for name in seen.observers]
    assert all(len(own) + len(rest) == len(seen) for own, rest in splits)
    for call in (halves, lambda s: list(one_left_out(s))):
        with pytest.raises(DegenerateError, match="two people at least"):
            call(seen.by("0"))


def test_people_is_the_mean_over_splits() -> None:
    seen = crowd().on("a")
    judge = Judge(convention("tuebingen"), 2.0)
    want = np.mean([judge.scores(blurred(rest, sigma=2.0), own)["NSS"] for own, rest in one_left_out(seen)])
    assert people(judge, seen, "leave-one-out", 0)["NSS"] == pytest.approx(want)
    one, other = halves(seen, seed=4)
    want = (judge.scores(blurred(one, sigma=2.0), other)["CC"] + judge.scores(blurred(other, sigma=2.0), one)["CC"]) / 2
    assert people(judge, seen, "half-split", 4)["CC"] == pytest.approx(want)


def test_a_perfect_map_reaches_people_and_controls_are_chance() -> None:
    seen = crowd()
    maps = {name: blurred(crowd(9).on(name)) for name in SPOTS}
    got = score_all(maps, seen, convention("tuebingen"))
    means = {which: dict(zip(got.names, values.mean(0), strict=True)) for which, values in got.values.items()}
    assert list(means) == ["map", "people", "centre", "other picture", "uniform"]
    assert means["map"]["AUC"] > 0.95
    assert means["map"]["sAUC"] > 0.98
    assert abs(means["map"]["NSS"] - means["people"]["NSS"]) < 1.0
    assert means["other picture"]["NSS"] < 0
    assert means["other picture"]["AUC"] < 0.5
    assert (means["uniform"]["AUC"], means["uniform"]["sAUC"], means["uniform"]["NSS"]) == (0.5, 0.5, 0)
    assert got.fixations == len(seen)
    low, high = got.interval()
    assert (low <= got.values["map"].mean(0)).all()
    assert (got.values["map"].mean(0) <= high).all()
    assert low[got.names.index("NSS")] < high[got.names.index("NSS")]


def test_one_picture_has_no_others_and_a_jackknife() -> None:
    seen = crowd().on("a")
    heat = np.random.default_rng(0).random(SIZE)
    got = score_all({"a": heat}, seen, convention("tuebingen"))
    assert got.names == ("AUC", "NSS", "CC", "KL", "SIM")
    assert np.isnan(got.values["centre"]).all()
    at = got.names.index("NSS")
    judge = Judge(convention("tuebingen"), 2.0)
    left = [judge.scores(heat, rest)["NSS"] for _, rest in one_left_out(seen)]
    error = np.sqrt(5 / 6 * ((left - np.mean(left)) ** 2).sum())
    low, high = got.interval()
    assert high[at] - low[at] == pytest.approx(2 * 1.96 * error)
    alone = score_all({"a": heat}, seen.by("0"), convention("tuebingen"), controls=False)
    assert np.isnan(alone.interval()[0]).all()
    assert np.isnan(alone.values["people"]).all()


def test_refusals() -> None:
    with pytest.raises(DegenerateError, match=r"no picture has both.*\n.*\['a', 'b', 'c'\]"):
        score_all({"z": np.ones(SIZE)}, crowd(), convention("tuebingen"))
