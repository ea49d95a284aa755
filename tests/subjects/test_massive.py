from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.subjects.massive import massive, massive_dimensions


def hidden(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_equals_the_definition() -> None:
    x = hidden(2, 3, 5)
    got = massive(x, [1, 4])
    for b in range(2):
        for n in range(3):
            row = x[b, n].double().tolist()
            size = (sum(one**2 for one in row) / 5) ** 0.5
            assert float(got[b, n]) == pytest.approx(max(abs(row[1]), abs(row[4])) / size, rel=1e-5)


def test_one_dimension_that_holds_all_reaches_the_bound_and_scale_has_no_say() -> None:
    x = torch.zeros(1, 2, 16)
    x[0, 0, 3] = -7.0
    assert massive(x, [3]).tolist() == [[4.0, 0.0]]
    y = hidden(2, 6, 16)
    torch.testing.assert_close(massive(100 * y), massive(y))
    assert float(massive(y).max()) <= 4.0


def test_only_the_fixed_dimensions_count() -> None:
    x = torch.ones(1, 1, 16)
    x[..., 5] = 100.0
    assert float(massive(x, [5])) > 3.9
    assert float(massive(x, [0, 1, 2])) < 0.1


def test_half_precision_does_not_overflow() -> None:
    x = torch.full((1, 1, 8), 300.0, dtype=torch.float16)
    assert massive(x).tolist() == [[1.0]]


def test_dimensions_are_read_off_a_known_sink() -> None:
    x = hidden(3, 6, 16)
    x[:, 2, 9] += 50.0
    x[:, 2, 4] -= 90.0
    assert massive_dimensions(x, token=2) == [4, 9]
    assert massive_dimensions(x, token=-4, count=1) == [4]


def test_refusals() -> None:
    x = hidden(1, 3, 5)
    for wrong in ([5], [-1], []):
        with pytest.raises(LayoutError, match="of 5"):
            massive(x, wrong)
    for token, count in ((3, 1), (0, 6), (0, 0)):
        with pytest.raises(LayoutError, match=f"{count} dimensions at token {token}"):
            massive_dimensions(x, token, count)
