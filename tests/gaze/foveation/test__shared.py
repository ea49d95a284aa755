from __future__ import annotations

import math

import pytest
import torch

from regard.errors import DegenerateError, ImageError, LayoutError
from regard.gaze.foveation._shared import check_batch, eccentricity, gazes, read, single

from .tools import drawn


def test_eccentricity_is_the_distance_to_the_nearest_fixation() -> None:
    x = drawn(2, 1, 5, 7)
    at = torch.tensor([[[1.5, 2.0], [6.0, 4.0]], [[0.0, 0.0], [3.0, 3.0]]], dtype=torch.float64)
    got = eccentricity(at, x)
    for b in range(2):
        for i in range(5):
            for j in range(7):
                want = min(math.hypot(j + 0.5 - gx, i + 0.5 - gy) for gx, gy in at[b].tolist())
                assert float(got[b, i, j]) == pytest.approx(want, abs=1e-9)


def test_reading_is_bilinear_and_0_outside() -> None:
    x = drawn(1, 1, 3, 4)
    places = torch.tensor([[[[1.5, 0.5], [2.0, 1.5], [2.0, 2.0], [9.0, 9.0]]]], dtype=torch.float64)
    v = x[0, 0]
    want = [v[0, 1], (v[1, 1] + v[1, 2]) / 2, v[1:3, 1:3].mean(), torch.zeros(()).double()]
    assert torch.allclose(read(x, places)[0, 0, 0], torch.stack(want))


@pytest.mark.parametrize(
    ("fixation", "kind", "text"),
    [
        ((math.nan, 1.0), DegenerateError, "NaN"),
        ((8.0, 1.0), LayoutError, "outside pictures of 5 x 7"),
        ((1.0, -0.1), LayoutError, "outside"),
        ((1.0, 2.0, 3.0), LayoutError, r"\(x, y\) in pixels"),
        ([[1.0, 2.0]] * 3, LayoutError, "for 2 pictures"),
        ([], LayoutError, "for 2 pictures"),
    ],
)
def test_bad_fixations(fixation, kind, text) -> None:
    with pytest.raises(kind, match=text):
        gazes(fixation, drawn(2, 1, 5, 7))


def test_one_each_and_bad_pictures() -> None:
    x = drawn(2, 1, 5, 7)
    assert single((1.0, 2.0), x).tolist() == [[1.0, 2.0]] * 2
    with pytest.raises(LayoutError, match="2 fixations a picture"):
        single(torch.ones(2, 2, 2), x)
    with pytest.raises(ImageError, match="picture"):
        check_batch(torch.zeros(3, 5, 7))


def test_bytes_arrays_and_words_are_refused_with_the_way_out() -> None:
    with pytest.raises(ImageError, match=r"(?s)pictures of bytes \[1, 3, 4, 4\].*pictures / 255"):
        check_batch(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ImageError, match="got ndarray"):
        check_batch(torch.zeros(1, 3, 4, 4).numpy())
    with pytest.raises(LayoutError, match="a fixation of no numbers"):
        gazes(("left", "top"), torch.zeros(1, 3, 4, 4))
