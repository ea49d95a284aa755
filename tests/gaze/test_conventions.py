"""Conventions: every column names a real metric and real options, and each blurs as it says."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from regard.errors import LayoutError, MethodError
from regard.gaze.conventions import CONVENTIONS, convention
from regard.registry import cards, find


@pytest.mark.parametrize("name", CONVENTIONS)
def test_columns_are_metrics_with_their_options(name: str) -> None:
    for metric, options in convention(name).metrics.values():
        chosen = find("gaze.metrics", partial(cards("gaze.metrics")[metric].function, **options))
        assert options.items() <= chosen.settings.items()


def test_blurs() -> None:
    assert convention("tuebingen").blur((600, 800), 24.0) == 24.0
    assert convention("aim2024").blur((1080, 1920), None) == 120
    assert convention("salicon").blur((480, 640), None) == 19
    sigma = convention("mit").blur((600, 800), None)
    assert np.exp(-2 * (np.pi * sigma * 8 / 800) ** 2) == pytest.approx(0.5)  # a Gaussian's spectrum at 8 cycles
    with pytest.raises(LayoutError, match="pixels of a degree"):
        convention("tuebingen").blur((600, 800), None)


def test_unknown() -> None:
    with pytest.raises(MethodError, match="no convention named 'mitt'"):
        convention("mitt")
