from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .pairs import check


@pytest.mark.parametrize(("axes", "size"), [((6, 8), (3, 4)), ((8,), (2,)), ((4, 6, 2), (2, 3, 1))])
def test_tokens_of_one_place_in_all_cells(axes: tuple[int, ...], size: tuple[int, ...]) -> None:
    """MaxViT's own way: reshape to [G, L / G] on each axis, and attend over G."""
    pattern = rg.patterns.grid(axes, size)
    body = check(pattern)
    numbers = torch.arange(pattern.queries.body).view(axes)
    cells = tuple(n // g for n, g in zip(axes, size, strict=True))
    split = numbers.view([n for pair in zip(size, cells, strict=True) for n in pair])
    apart = split.permute(*range(1, 2 * len(axes), 2), *range(0, 2 * len(axes), 2)).reshape(-1, *size).flatten(1)
    expected = torch.zeros_like(body)
    for group in apart:
        expected[group[:, None], group[None]] = True
    assert body.equal(expected)


def test_refusal() -> None:
    with pytest.raises(LayoutError, match=r"size = \(4, 4\) does not divide space 6x8"):
        rg.patterns.grid((6, 8), 4)
