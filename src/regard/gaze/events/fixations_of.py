"""From labelled samples to the table of fixations."""

from __future__ import annotations

import numpy as np

from regard.errors import LayoutError
from regard.gaze.data import Fixations
from regard.gaze.events.samples import FIXATION, Array, Samples, checked_labels, runs
from regard.registry import method


@method(
    "gaze.events",
    paper="salvucci-goldberg",
    claim="each run's mean and duration, by hand",
    source="Salvucci and Goldberg 2000",
    needs={"eye", "labels"},
    differs="none",
    unit="pixels, seconds",
)
def fixations_of(
    eye: Samples, labels: Array, *, size: tuple[int, int] | None = None, observer: str = "0", image: str = "picture"
) -> Fixations:
    """One row for each run of samples labelled 1: their mean in pixels, and how long it lasted in seconds.

    A run of n samples lasts n steps. size: (height, width) of the picture in pixels. Without a run it is empty.
    Glances beside the picture are kept, as they happened; `inside()` drops them. Where most lie beside it, its size or
    the unit is wrong: LayoutError, as for labels of another recording.

    >>> from regard.gaze.events import samples
    >>> eye = samples([0.0, 0.01, 0.02, 0.03], [[1.0, 2.0], [3.0, 2.0], [50.0, 2.0], [90.0, 4.0]], per_degree=10.0)
    >>> found = fixations_of(eye, np.array([1, 1, 2, 1]))
    >>> found.xy.tolist(), found.duration.round(3).tolist()
    ([[2.0, 2.0], [90.0, 4.0]], [0.02, 0.01])
    """
    found = [(a, b) for label, a, b in runs(checked_labels(eye, labels)) if label == FIXATION]
    made = Fixations(
        np.array([np.nanmean(eye.xy[a:b], axis=0) for a, b in found]).reshape(-1, 2),
        np.array([(b - a) / eye.rate for a, b in found]),
        observer,
        image,
        size,
        eye.per_degree,
    )
    if size is not None and 2 * len(made.inside()) < len(made):
        raise LayoutError(
            f"{len(made) - len(made.inside())} of {len(made)} fixations lie outside {size[0]} x {size[1]} pixels",
            hint="size=(height, width) of the picture, samples in its pixels from its top left corner",
        )
    return made
