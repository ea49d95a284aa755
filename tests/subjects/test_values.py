from __future__ import annotations

import torch

from regard.subjects.values import of_maps


def test_the_first_value_is_the_maps_and_the_rest_the_null() -> None:
    got = of_maps(torch.tensor([3.0, 1.0, 2.0]), "told", higher_is_better=False, se=0.5)
    assert (got.value, got.null.tolist(), got.higher_is_better, got.se) == (3.0, [1.0, 2.0], False, 0.5)
    assert got.curve is None
