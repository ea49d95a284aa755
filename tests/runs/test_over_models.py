from __future__ import annotations

import numpy as np
import pytest

from regard.errors import LayoutError
from regard.runs.over_models import over_models
from regard.subjects.statistics import bca


def test_each_unit_has_its_own_interval() -> None:
    """Models that differ much and pictures that differ little: the interval over models is the wide one."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 1)) + 0.1 * rng.normal(size=(6, 30))
    models, pictures = over_models({f"m{i}": row.tolist() for i, row in enumerate(values)}).rows
    assert models[:3] == ("models", 6, pytest.approx(values.mean()))
    assert pictures[:3] == ("pictures", 30, pytest.approx(values.mean()))
    assert models[3:] == bca([float(np.mean(row)) for row in values])
    assert pictures[3:] == bca([float(np.mean(column)) for column in values.T])
    assert models[4] - models[3] > 5 * (pictures[4] - pictures[3])


@pytest.mark.parametrize("scores", [{"a": [1.0, 2.0]}, {"a": [1.0, 2.0], "b": [1.0]}, {"a": [1.0], "b": [2.0]}])
def test_too_little_is_refused(scores: dict[str, list[float]]) -> None:
    with pytest.raises(LayoutError, match=r"scores of \d models on"):
        over_models(scores)
