from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.errors import DegenerateError
from regard.subjects.degenerate import check_finite, check_ranks, why_degenerate

from ..told import refused

FINE = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (FINE, None),
        (-FINE, None),
        (FINE - 5, None),
        (FINE * 1e-12, None),  # small is not blank
        (np.zeros((3, 4)), "all values are 0"),
        (np.full((3, 4), 0.5), "all values are 0.5"),
        (1 + FINE * 1e-8, "values differ by"),
        (np.where(FINE == 3, np.nan, FINE), "1 of 12 values are NaN"),
        (np.where(FINE == 3, np.inf, FINE), "1 of 12 values are NaN or infinite"),
        (np.where(FINE == 3, 100.0, 1.0), "one of 12 cells holds 90 %"),
    ],
)
def test_reasons(values: np.ndarray, reason: str | None) -> None:
    got = why_degenerate(values)
    assert got is None if reason is None else got is not None and got.startswith(reason)


def test_what_cannot_be_scored_is_refused() -> None:
    check_finite(FINE)
    check_ranks(torch.from_numpy(FINE))
    with refused(DegenerateError, "the map has NaN or infinite values: 2 of 12", "then score it"):
        check_finite(np.where(FINE == 3, np.nan, np.where(FINE == 5, -np.inf, FINE)))
    with refused(DegenerateError, "all values are 0: the map ranks nothing", "a map with a highest place"):
        check_ranks(torch.zeros(3, 4))
    with refused(DegenerateError, "all values are 0.5: the map ranks nothing", "a map with a highest place"):
        check_ranks(torch.full((3, 4), 0.5))
