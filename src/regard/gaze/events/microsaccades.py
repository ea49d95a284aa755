"""Engbert and Kliegl: saccades, also very small ones, as outliers among the recording's own velocities."""

from __future__ import annotations

import numpy as np

from regard.errors import DegenerateError, LayoutError
from regard.gaze.events.samples import FIXATION, NOTHING, SACCADE, Labels, Samples, check_samples, without_short
from regard.registry import method


@method(
    "gaze.events",
    paper="engbert-kliegl",
    claim="equals the published velocity and ellipse by loops",
    source="Engbert and Kliegl 2003",
    needs={"eye"},
    differs="none",
    unit="label",
)
def microsaccades(eye: Samples, *, times: float = 6.0, shortest: float = 0.006) -> Labels:
    """Label each sample [n]: 2 saccade, 1 anything else that was seen, 0 not seen.

    v_i = (x_(i+2) + x_(i+1) - x_(i-1) - x_(i-2)) / 6 dt; a saccade is where (v_x / eta_x)^2 + (v_y / eta_y)^2 > 1,
    eta = `times` sqrt(median(v^2) - median(v)^2), for at least `shortest` seconds.

    Raises LayoutError, DegenerateError for an eye that never moves. Source: Engbert and Kliegl 2003,
    doi 10.1016/S0042-6989(03)00084-1.

    >>> from regard.gaze.events import samples
    >>> xy = np.random.default_rng(0).normal(0, 0.05, (100, 2)) + (np.arange(100) > 50)[:, None] * 5.0
    >>> np.nonzero(microsaccades(samples(np.arange(100) / 500, xy, per_degree=30.0)) == 2)[0].tolist()
    [49, 50, 51, 52]
    """
    check_samples(eye)
    if not times > 0 or shortest < 0:
        raise LayoutError(f"times={times}, shortest={shortest}", hint="over 0; seconds")
    xy = np.where(eye.seen[:, None], eye.degrees, np.nan)
    v = np.full_like(xy, np.nan)
    v[2:-2] = (xy[4:] + xy[3:-1] - xy[1:-3] - xy[:-4]) * eye.rate / 6
    known = v[np.isfinite(v).all(1)]
    if not len(known):
        raise DegenerateError("no five samples in a row were seen", hint="a longer recording")
    eta = times * np.sqrt(np.maximum(np.median(known**2, axis=0) - np.median(known, axis=0) ** 2, 0))
    if not eta.min() > 0:
        raise DegenerateError("the eye does not move along one axis", hint="raw samples, not smoothed ones")
    labels = np.where(((v / eta) ** 2).sum(1) > 1, SACCADE, FIXATION)  # NaN compares false
    labels[~eye.seen] = NOTHING
    kept = without_short(labels, SACCADE, max(1, round(shortest * eye.rate)))
    return np.where((labels == SACCADE) & (kept == NOTHING), FIXATION, kept)
