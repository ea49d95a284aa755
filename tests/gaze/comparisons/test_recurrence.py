from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.comparisons import recurrence


def path(places: str) -> torch.Tensor:
    """A letter a fixation; different letters lie 1000 pixels apart."""
    return torch.tensor([[1000.0 * ord(c), 0.0, 0.2] for c in places], dtype=torch.float64)


def test_counts_by_hand() -> None:
    """abcd against cabb: r has (0,1), (1,2), (1,3), (2,0); a diagonal run of 2, a row run of 2, no column run."""
    got = recurrence(path("abcd"), path("cabb")).to_dict()
    lag = (1 + 1 + 2 - 2) / (3 * 4)
    want = {"recurrence": 100 * 4 / 16, "determinism": 50.0, "laminarity": 100 * 2 / 8, "corm": 100 * lag}
    assert got == pytest.approx(want)


def test_a_lag_is_seen_with_its_sign() -> None:
    ahead = recurrence(path("abcdef"), path("zabcde")).to_dict()
    assert ahead["corm"] > 0
    assert recurrence(path("zabcde"), path("abcdef")).to_dict()["corm"] == pytest.approx(-ahead["corm"])
    assert recurrence(path("abc"), path("xyz")).values.tolist() == [0, 0, 0, 0]
    with pytest.raises(LayoutError, match="least=1"):
        recurrence(path("abc"), path("abc"), least=1)
