"""On people: detectors against two coders of the Lund recordings (Andersson et al. 2017). Needs their data.

REGARD_LUND names the folder `annotated_data/data used in the article` of the public repository
richardandersson/EyeMovementDetectorEvaluation; it has no licence, so nothing of it is kept here.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from regard.gaze.events import adaptive, agreement, idt, ivt, microsaccades, samples
from regard.gaze.events.samples import SACCADE, Samples

FOLDER = Path(os.environ.get("REGARD_LUND", "not given"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER / "img").is_dir(), reason="the Lund recordings are not at hand (REGARD_LUND)"),
]
OVERSHOOT, BLINK = 3, 5


def recording(path: Path) -> tuple[Samples, np.ndarray]:
    """Samples at 500 Hz and the coder's label of each: 1 fixation, 2 saccade, 3 glissade, 4 pursuit, 5 blink."""
    from scipy.io import loadmat

    data = loadmat(path)["ETdata"][0, 0]
    table, rate = data["pos"], float(data["sampFreq"].item())
    xy = np.where((table[:, 3:5] == 0).all(1, keepdims=True), np.nan, table[:, 3:5])
    per_degree = np.tan(np.radians(1)) * data["viewDist"].item() * data["screenRes"][0, 0] / data["screenDim"][0, 0]
    return samples(np.arange(len(xy)) / rate, xy, per_degree=float(per_degree)), table[:, 5].astype(int)


def kappas(detect, kind: str = "img") -> np.ndarray:
    """Agreement about saccades with each coder on each recording, where the coder sees neither blink nor overshoot."""
    found = []
    for path in sorted((FOLDER / kind).glob("*_labelled_*.mat")):
        eye, coded = recording(path)
        keep = eye.seen & ~np.isin(coded, (OVERSHOOT, BLINK))
        found.append(agreement(detect(eye)[keep], coded[keep], kind=SACCADE))
    return np.array(found)


@pytest.mark.parametrize(
    ("detect", "least"),
    [(ivt, 0.85), (microsaccades, 0.85), (adaptive, 0.65), (partial(idt, dispersion=1.0), 0.5)],
    ids=["ivt", "microsaccades", "adaptive", "idt"],
)
def test_detectors_agree_with_people_on_pictures(detect, least: float) -> None:
    """Medians over 28: .895, .89, .70 and .53; a fixed threshold is hard to beat on clean recordings."""
    found = kappas(detect)
    assert len(found) == 28
    assert np.median(found) >= least


def test_robust_thresholds_stand_blinks() -> None:
    """As the paper has it the threshold runs away on recordings with blinks: the worst kappa is .02, against .53."""
    assert kappas(adaptive).min() > 0.4 > 0.2 > kappas(partial(adaptive, robust=False)).min()
