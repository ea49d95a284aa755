from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .pairs import check


def test_the_mask_itself(generator: torch.Generator) -> None:
    for shape in ((5, 6), (2, 3, 5, 6)):
        mask = torch.rand(shape, generator=generator) < 0.4
        assert check(rg.patterns.explicit(mask)).equal(mask)
    assert rg.patterns.explicit(mask, 5, (2, 3)).keys.axes == (2, 3)


def test_refusals() -> None:
    with pytest.raises(LayoutError, match=r"a mask \[2, 2\] torch.float32"):
        rg.patterns.explicit(torch.ones(2, 2))
    with pytest.raises(LayoutError, match=r"a mask \[2, 2\] on spaces 3 and 2"):
        rg.patterns.explicit(torch.ones(2, 2).bool(), 3)
