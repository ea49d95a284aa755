"""`over_models`: a score of several trained models on the same pictures, with an interval over each of the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from regard.errors import LayoutError
from regard.results import Table
from regard.subjects.statistics import bca


def over_models(scores: Mapping[str, Sequence[float]], *, seed: int = 0) -> Table:
    """Mean of scores by model, each a row of the same pictures, with BCa's interval over models and over pictures.

    A bias that is said of a way to train (as Attention-IoU's, over 20 models) has the model as its unit, one that is
    said of these models on such pictures has the picture: of each unit the mean is drawn, so that no unit counts for
    more. Raises LayoutError for under two models or pictures, or rows of different lengths.

    >>> from regard.runs.over_models import over_models
    >>> table = over_models({"a": [0.1, 0.3, 0.2], "b": [0.4, 0.6, 0.5]})
    >>> [(row[0], row[1], round(row[2], 2)) for row in table.rows]
    [('models', 2, 0.35), ('pictures', 3, 0.35)]
    """
    lengths = {len(row) for row in scores.values()}
    if len(scores) < 2 or len(lengths) != 1 or min(lengths) < 2:
        raise LayoutError(
            f"scores of {len(scores)} models on {sorted(lengths)} pictures", hint="two models and two pictures at least"
        )
    values = np.array(list(scores.values()), dtype=float)
    rows = [
        (unit, len(means), float(values.mean()), *bca(means, seed=seed))
        for unit, means in (("models", values.mean(1)), ("pictures", values.mean(0)))
    ]
    return Table(("unit", "n", "mean", "low", "high"), tuple(rows), title="mean over models and pictures")
