"""I-VT: slow samples are fixations, fast ones saccades."""

from __future__ import annotations

import numpy as np

from regard.errors import LayoutError
from regard.gaze.events.samples import FIXATION, NOTHING, SACCADE, Labels, Samples, check_samples, without_short
from regard.registry import method


@method(
    "gaze.events",
    paper="salvucci-goldberg",
    claim="equals a comparison of each sample's speed; kappa .895 about saccades on people's recordings",
    source="Salvucci and Goldberg 2000",
    needs={"eye"},
    differs="speeds by a fit over 14 ms in the place of differences",
    unit="label",
)
def ivt(eye: Samples, *, threshold: float = 45.0, shortest: float = 0.0, window: float = 0.014) -> Labels:
    """Label each sample [n]: 1 fixation (speed under `threshold` degrees a second), 2 saccade, 0 not seen.

    shortest: seconds below which a fixation is none (0 as the paper has it); window: seconds of the speed's fit. What
    follows slowly is called a fixation too: pursuit is not told apart. On 28 recordings of people who look at
    pictures its kappa about saccades is .895 in the median (Lund data, overshoots and blinks left out).

    Raises LayoutError. Source: Salvucci and Goldberg 2000, doi 10.1145/355017.355028.

    >>> from regard.gaze.events import samples
    >>> x = [0.0] * 10 + [10.0, 20.0, 30.0] + [40.0] * 10
    >>> eye = samples([i / 100 for i in range(23)], [[v, 0.0] for v in x], per_degree=10.0)
    >>> "".join(str(k) for k in ivt(eye))
    '11111111122222111111111'
    """
    check_samples(eye)
    if not threshold > 0 or shortest < 0:
        raise LayoutError(f"threshold={threshold}, shortest={shortest}", hint="degrees a second, seconds")
    speed = eye.speed(window=window)
    labels = np.where(speed < threshold, FIXATION, SACCADE)
    labels[np.isnan(speed)] = NOTHING
    return without_short(labels, FIXATION, round(shortest * eye.rate))
