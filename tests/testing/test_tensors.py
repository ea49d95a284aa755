"""Operands made of pictures: by name, in the pictures' type, each picture for itself."""

from __future__ import annotations

import pytest
import torch

from regard.errors import MethodError
from regard.registry import FAMILIES
from regard.testing.planted import planted_pictures
from regard.testing.tensors import operands


def test_every_subject_of_the_family_can_be_made() -> None:
    names = tuple(sorted(FAMILIES["operators"].subjects))
    x = planted_pictures([(1, 2), (3, 4)], dtype=torch.float64)
    made = operands(names, x)
    for name, one in zip(names, made, strict=True):
        (alone,) = operands((name,), x)
        assert torch.equal(one, alone) if isinstance(one, torch.Tensor) else one == alone, name
    assert {t.dtype for t in made if isinstance(t, torch.Tensor)} == {torch.float64}


def test_each_picture_makes_its_own_and_the_same_again() -> None:
    x = planted_pictures([(1, 2), (3, 4)])
    q, k = operands(("q", "k"), x)
    assert q.shape == k.shape == (2, 2, 64, 4)
    assert torch.allclose(operands(("q",), x[1:])[0][0], q[1], atol=1e-6)
    assert not torch.allclose(q, k)
    assert torch.equal(operands(("q",), x)[0], q)


def test_refusals() -> None:
    with pytest.raises(MethodError, match="no operand named 'qq'"):
        operands(("qq",), planted_pictures([(1, 2)]))
