from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .pairs import check


def test_same_label(generator: torch.Generator) -> None:
    labels = torch.randint(0, 4, (3, 5), generator=generator)
    pattern = rg.patterns.regions(rg.Grid(3, 5, prefix=1), labels)
    check(pattern, lambda i, j: bool(labels[i] == labels[j]))
    assert rg.patterns.regions((3, 5), labels).mask().equal(rg.patterns.regions((3, 5), 7 - 3 * labels).mask())  # 20
    assert rg.patterns.regions(4, [2, 2, 2, 2]).mask().all()
    assert hash(pattern) == hash(rg.patterns.regions(rg.Grid(3, 5, prefix=1), labels.clone()))


def test_regions_of_another_picture() -> None:
    crossed = rg.patterns.regions(3, [0, 1, 2], (2, 2), [1, 1, 0, 3])
    check(crossed)
    assert crossed.mask().int().tolist() == [[0, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_refusals() -> None:
    with pytest.raises(LayoutError, match=r"3 labels torch.int64 for space 4"):
        rg.patterns.regions(4, [1, 2, 3])
    with pytest.raises(LayoutError, match=r"4 labels torch.float32 for space 4"):
        rg.patterns.regions(4, torch.ones(4))
    with pytest.raises(LayoutError, match="keys of another space need their labels"):
        rg.patterns.regions(4, [1, 2, 3, 4], 5)
