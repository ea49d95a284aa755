from __future__ import annotations

import math

import pytest
import torch

from regard.concepts import global_importance
from regard.errors import LayoutError


def test_it_is_the_cosine_of_each_row() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(6, 4, generator=g, dtype=torch.float64) for _ in range(2))
    got = global_importance(a, b)
    for row, one, other in zip(got, a.tolist(), b.tolist(), strict=True):
        dot = sum(p * q for p, q in zip(one, other, strict=True))
        assert float(row) == pytest.approx(dot / math.hypot(*one) / math.hypot(*other))
    torch.testing.assert_close(global_importance(3 * b, b), torch.ones(6).double())
    assert float(global_importance(a.T, b.T)[0]) == pytest.approx(
        float(torch.nn.functional.cosine_similarity(a[:, 0], b[:, 0], dim=0))
    )


def test_a_concept_of_no_weight_gets_nothing_and_shapes_must_agree() -> None:
    assert global_importance(torch.zeros(1, 3), torch.ones(1, 3)).tolist() == [0]
    with pytest.raises(LayoutError, match=r"importance \[1, 3\], truth \[3, 1\]"):
        global_importance(torch.zeros(1, 3), torch.zeros(3, 1))
