"""I-DT: samples that stay together long enough are a fixation."""

from __future__ import annotations

import numpy as np

from regard.errors import LayoutError
from regard.gaze.events.samples import FIXATION, NOTHING, SACCADE, Array, Labels, Samples, check_samples
from regard.registry import method


@method(
    "gaze.events",
    paper="salvucci-goldberg",
    claim="equals a slow transcription of the published loop",
    source="Salvucci and Goldberg 2000",
    needs={"eye"},
    differs="no window reaches over a sample that was not seen",
    unit="label",
)
def idt(eye: Samples, *, dispersion: float = 1.0, shortest: float = 0.1) -> Labels:
    """Label each sample [n]: 1 fixation, 2 what is seen between fixations, 0 not seen.

    A window of `shortest` seconds is a fixation if (max x - min x) + (max y - min y) <= `dispersion` degrees in it; it
    then grows sample by sample while that holds. If it does not, the window moves on by one. No window reaches over a
    sample that was not seen.

    Raises LayoutError. Source: Salvucci and Goldberg 2000, doi 10.1145/355017.355028.

    >>> from regard.gaze.events import samples
    >>> x = [0.0] * 20 + [30.0, 60.0] + [90.0] * 20
    >>> eye = samples([i / 100 for i in range(42)], [[v, 0.0] for v in x], per_degree=10.0)
    >>> "".join(str(k) for k in idt(eye))[18:24]
    '112211'
    """
    check_samples(eye)
    if not (dispersion > 0 and shortest > 0):
        raise LayoutError(f"dispersion={dispersion}, shortest={shortest}", hint="degrees, seconds, over 0")
    least = max(2, round(shortest * eye.rate))
    labels = np.where(eye.seen, SACCADE, NOTHING)
    xy, seen, n = eye.degrees, eye.seen, len(eye)
    start, last = 0, -1
    while start + least <= n:
        window = xy[start : start + least]
        if not seen[start : start + least].all() or _spread(window.min(0), window.max(0)) > dispersion:
            start += 1
            continue
        low, high, end = window.min(0), window.max(0), start + least
        while end < n and seen[end]:
            low, high = np.minimum(low, xy[end]), np.maximum(high, xy[end])
            if _spread(low, high) > dispersion:
                break
            end += 1
        labels[start + (start == last) : end] = FIXATION  # one that follows at once is told apart by a sample
        start = last = end
    return labels


def _spread(low: Array, high: Array) -> float:
    return float((high - low).sum())
