from __future__ import annotations

import pytest
import torch

from regard.errors import DegenerateError, LayoutError
from regard.gaze.comparisons._shared import Several, aligned, apart, check_paths, diagonal, edits, symbols, walked

from .tools import drawn


def test_symbols_are_columns_and_rows() -> None:
    path = torch.tensor([[0.0, 0.0, 0.1], [79.9, 59.9, 0.1], [-5.0, 100.0, 0.1], [40.0, 29.9, 0.1]])
    assert symbols(path, (60, 80), (4, 2)).tolist() == [[0, 0], [3, 1], [0, 1], [2, 0]]


def test_small_sums() -> None:
    assert aligned(torch.tensor([[1.0, -9.0], [-9.0, 2.0]]), 0.0) == 3
    assert aligned(torch.tensor([[-9.0]]), -1.0) == -2
    assert edits([(0,), (1,)], [(1,)]) == 1
    assert walked(torch.tensor([[1.0, 5.0], [5.0, 2.0]]), lambda a, b: a + b) == 3
    assert diagonal((3, 4)) == 5
    assert apart(*drawn()).shape == (5, 4)
    assert Several(torch.tensor([1.0, 2.0]), ("a", "b")).to_dict() == {"a": 1.0, "b": 2.0}


def test_refusals() -> None:
    one, two = drawn()
    with pytest.raises(LayoutError, match=r"\[5, 2\]"):
        check_paths(one[:, :2], two)
    with pytest.raises(DegenerateError, match="0 fixations"):
        check_paths(one, two[:0])
    with pytest.raises(DegenerateError, match="NaN positions"):
        check_paths(one * float("nan"), two)
