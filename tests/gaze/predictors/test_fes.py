from __future__ import annotations

import math

import pytest

from regard.errors import LayoutError
from regard.gaze.predictors import fes
from regard.gaze.predictors._shared import lab
from regard.gaze.predictors.fes import RADII
from regard.gaze.stimuli import singleton

from .tools import drawn


@pytest.mark.parametrize("centre", [0.0, 0.3])
def test_equals_a_loop_over_pixels_and_samples(centre: float) -> None:
    x = drawn(1, 9, 11)
    got = fes(x, samples=5, spread=30.0, centre=centre, sigma=0.0).values[0]
    f = lab(x)[0]
    for i in range(0, 9, 2):
        for j in range(0, 11, 3):
            prior = 0.5
            if centre:
                d = ((i + 0.5) / 9 - 0.5) ** 2 + ((j + 0.5) / 11 - 0.5) ** 2
                prior = math.exp(-d / centre**2 / 2)
            want = 0.0
            for r in RADII:
                like = 0.0
                for k in range(5):
                    a = min(8, max(0, i + round(r * math.sin(2 * math.pi * k / 5))))
                    b = min(10, max(0, j + round(r * math.cos(2 * math.pi * k / 5))))
                    like += math.exp(-float((f[:, i, j] - f[:, a, b]).square().sum()) / 1800) / 5
                want += prior / (prior + (1 - prior) * like) / 3
            assert float(got[i, j]) == pytest.approx(want, abs=1e-9)


def test_an_odd_colour_is_found_and_bad_options_are_not() -> None:
    for seed in range(3):
        made = singleton("colour", cells=5, size=5, seed=seed)
        values = fes(made.picture[None]).values[0]
        row, column = divmod(int(values.argmax()), values.shape[1])
        scale = 200 / values.shape[1]
        assert (made.target | made.distractors)[int((row + 0.5) * scale), int((column + 0.5) * scale)]
    with pytest.raises(LayoutError, match="samples=0"):
        fes(drawn(1, 9, 11), samples=0)
