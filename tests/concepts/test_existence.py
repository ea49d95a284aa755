from __future__ import annotations

import pytest
import torch

from regard.concepts import existence
from regard.concepts.existence import leading
from regard.errors import LayoutError


@pytest.mark.parametrize("top", [1, 3, 6])
def test_it_counts_picture_by_picture(top: int) -> None:
    g = torch.Generator().manual_seed(top)
    weights, said = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((6, 3), (5, 6)))
    classes, present = torch.randint(3, (5,), generator=g), torch.rand(5, 6, generator=g) < 0.4
    got = existence(weights, said, classes, present, top=top)
    for i in range(5):
        speaks = {j: float(weights[j, classes[i]] * said[i, j]) for j in range(6)}
        best = sorted(speaks, key=lambda j: -speaks[j])[:top]
        assert leading(weights, said, classes, top)[i].tolist() == best
        assert float(got[i]) == pytest.approx(sum(bool(present[i, j]) for j in best) / top)
    if top == 6:  # all of them: what chance reaches
        torch.testing.assert_close(got, present.double().mean(1))


def test_more_concepts_than_there_are_is_refused() -> None:
    with pytest.raises(LayoutError, match="the 3 leading concepts of 2"):
        existence(torch.zeros(2, 2), torch.zeros(1, 2), torch.tensor([0]), torch.ones(1, 2).bool(), top=3)
