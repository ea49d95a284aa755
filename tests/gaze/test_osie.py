"""On people: the models land where the research found them, and people above all. Needs the OSIE subset.

The folder is ../shared/osie beside the checkout, or REGARD_OSIE; its photos stay out of the repository.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import regard as rg
from regard.gaze.data import Fixations
from regard.gaze.maps import blurred

FOLDER = Path(os.environ.get("REGARD_OSIE", Path(__file__).resolve().parents[3] / "shared" / "osie"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER / "fixations.csv").exists(), reason="OSIE is not at hand (REGARD_OSIE)"),
]
# AUC over 70 photos, of which these 28 (names that end in 1) are at hand; written down before this code was.
BARS = {
    "spectral_residual": 0.769,
    "pft": 0.767,
    "signature": 0.795,
    "frequency_tuned": 0.626,
    "gbvs": 0.781,
    "bms": 0.845,
}


@pytest.fixture(scope="module")
def seen() -> Fixations:
    every = rg.gaze.read_osie(FOLDER).inside()
    return every.on(*(name for name in every.images if name[3] == "1"))


def test_what_is_read(seen: Fixations) -> None:
    assert (len(seen.images), len(seen.observers), seen.size) == (28, 15, (600, 800))
    every = rg.gaze.read_osie(FOLDER)
    assert len(every.images) == 300
    assert 0.15 < np.median(every.duration) < 0.25


@pytest.mark.parametrize("method", BARS)
def test_predictors_land_on_their_bars(method: str, seen: Fixations) -> None:
    found = []
    for name in seen.images:
        heat = torch.from_numpy(rg.gaze.predict(rg.image(FOLDER / "stimuli" / name), method).values).double()
        full = torch.nn.functional.interpolate(heat[:, None], size=(600, 800), mode="bilinear")[0, 0]
        found.append(float(rg.gaze.metrics.auc(full, torch.from_numpy(seen.on(name).xy))))
    assert abs(np.mean(found) - BARS[method]) <= 0.02


def test_the_readout_on_photos_that_it_did_not_learn() -> None:
    """NSS 2.9, sAUC .83 and 1.6 bits over the learnt photos' centre prior, with the lower end of 95 % above each."""
    from safetensors import safe_open

    from regard.gaze.maps import centre_prior
    from regard.gaze.predictors.gaze_dinov2 import WEIGHTS

    with safe_open(WEIGHTS, "pt") as file:
        held = file.metadata()["held"].split()
    every = rg.gaze.read_osie(FOLDER).inside()
    assert held == sorted(every.images)[::5]
    learnt = every.where(~np.isin(every.image, held))
    prior = torch.from_numpy(centre_prior(learnt, bandwidth=0.065).density)
    metrics, found = rg.gaze.metrics, []
    for name in held:
        p = torch.from_numpy(rg.gaze.predict(rg.image(FOLDER / "stimuli" / name), "gaze-dinov2").values[0]).double()
        assert p.shape == (600, 800)
        own, others = (torch.from_numpy(every.where(m).xy) for m in (every.image == name, every.image != name))
        gain = metrics.information_gain(p / p.sum(), own, prior)
        found.append([float(metrics.nss(p, own)), float(metrics.sauc(p, own, others[::7])), float(gain)])
    values = np.array(found)
    low = values.mean(0) - 1.96 * values.std(0) / np.sqrt(len(values))
    assert (values.mean(0) >= (2.9, 0.83, 1.6)).all(), values.mean(0)
    assert (low >= (2.9, 0.83, 1.6)).all(), low


def test_people_and_a_central_gaussian(seen: Fixations) -> None:
    """Half-split people .921 / .877 / 3.62 (AUC, sAUC, NSS); the centre gains nothing under shuffled AUC."""
    table = rg.gaze.ceiling(seen)
    told = dict(zip(table.column("metric"), table.column("half-split"), strict=True))
    assert told["AUC"] == pytest.approx(0.921, abs=0.02)
    assert told["sAUC"] == pytest.approx(0.877, abs=0.02)
    assert told["NSS"] == pytest.approx(3.62, abs=0.45)  # two standard errors over 28 photos
    y, x = np.mgrid[:600, :800]
    centre = torch.from_numpy(np.exp(-(((x - 400) / 200.0) ** 2 + ((y - 300) / 150.0) ** 2) / 2))
    scores = []
    for name in seen.images:
        own, others = (torch.from_numpy(seen.where(m).xy) for m in (seen.image == name, seen.image != name))
        scores.append([float(rg.gaze.metrics.auc(centre, own)), float(rg.gaze.metrics.sauc(centre, own, others))])
    auc, sauc = np.mean(scores, 0)
    assert auc > 0.68
    assert 0.46 < sauc < 0.52


@pytest.mark.peers
def test_multimatch_equals_the_package_on_people(seen: Fixations) -> None:
    package = pytest.importorskip("multimatch_gaze")
    fields = [("start_x", "f8"), ("start_y", "f8"), ("duration", "f8")]
    paths = [p for p in seen.on(*seen.images[:3]).paths() if len(p) >= 3]
    for one, two in pairwise(paths):
        rows = (np.column_stack([p.xy, p.duration]).tolist() for p in (one, two))
        given = [np.array([tuple(r) for r in table], dtype=fields) for table in rows]
        want = package.docomparison(*given, screensize=[800, 600])
        assert np.allclose(list(rg.gaze.compare(one, two).values()), want, atol=1e-9)


def test_which_comparisons_tell_one_picture_from_two(seen: Fixations) -> None:
    """ScanMatch, DTW, TDE and direction and position of MultiMatch do; its shape and length do not."""
    names = seen.images[:12]
    same, other = [], []
    for at, name in enumerate(names):
        one, two = seen.on(name).paths()[:2]
        away = seen.on(names[(at + 1) % len(names)]).paths()[1]
        for pair, into in (((one, two), same), ((one, away), other)):
            numbers = rg.gaze.compare(*pair) | rg.gaze.compare(*pair, "scanmatch") | rg.gaze.compare(*pair, "tde")
            into.append(numbers)
    mean = [{name: np.mean([one[name] for one in found]) for name in found[0]} for found in (same, other)]
    assert mean[0]["scanmatch"] > mean[1]["scanmatch"] + 0.08
    assert mean[0]["position"] > mean[1]["position"] + 0.03
    assert mean[0]["tde"] < 0.8 * mean[1]["tde"]
    assert abs(mean[0]["shape"] - mean[1]["shape"]) < 0.03
    assert abs(mean[0]["length"] - mean[1]["length"]) < 0.03


def test_blurring_decides_cc(seen: Fixations) -> None:
    """.39, .48 and .52 at 12, 24 and 35 px for the same maps: why a card names its convention."""
    totals = dict.fromkeys((12.0, 24.0, 35.0), 0.0)
    for name in seen.images[::2]:
        heat = torch.from_numpy(rg.gaze.predict(rg.image(FOLDER / "stimuli" / name), "bms").values).double()
        full = torch.nn.functional.interpolate(heat[:, None], size=(600, 800), mode="bilinear")[0, 0]
        for sigma in totals:
            truth = torch.from_numpy(blurred(seen.on(name), sigma=sigma))
            totals[sigma] += float(rg.gaze.metrics.cc(full, truth)) / len(seen.images[::2])
    assert totals[12.0] + 0.05 < totals[24.0] < totals[35.0] - 0.02
