"""Numbers of the embedded models on a real photo, as they were when the reports were looked at."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from .make import GOLDEN, HERE

TOLERANCE = {"sink_mass": 0.02, "logits": 0.02}  # a key near the sink threshold may fall on either side


@pytest.mark.weights
@pytest.mark.parametrize("name", GOLDEN)
def test_numbers_are_as_they_were(name: str) -> None:
    stored: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    made = GOLDEN[name]()
    assert set(made) == set(stored)
    for key, value in stored.items():
        wanted, got = np.array(value, dtype=float), np.array(made[key], dtype=float)
        np.testing.assert_allclose(got, wanted, atol=TOLERANCE.get(key, 2e-3), rtol=2e-3, err_msg=key)
