from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .pairs import check


def test_regions_that_match(generator: torch.Generator) -> None:
    q, k = (torch.randn(2, 2, 30, 4, generator=generator) for _ in range(2))
    pattern = rg.patterns.routing(q, k, (5, 6), size=(3, 2), keep=2)
    seen = check(pattern)
    regions = [[y * 6 + x for y in range(a, min(a + 3, 5)) for x in range(b, b + 2)] for a in (0, 3) for b in (0, 2, 4)]
    for b in range(2):
        means = [torch.stack([x[b][:, r].mean(1).flatten() for r in regions]) for x in (q, k)]
        for own, affinity in zip(regions, means[0] @ means[1].T, strict=True):
            expected = torch.zeros(30, dtype=torch.bool)
            for chosen in affinity.topk(2).indices:
                expected[regions[int(chosen)]] = True
            assert seen[b, 0, own].equal(expected.expand(len(own), -1))


def test_identities_and_a_planted_pair() -> None:
    q, k = torch.zeros(1, 1, 16, 2), torch.zeros(1, 1, 16, 2)
    q[0, 0, [0, 1, 4, 5], 0] = 1.0  # the region at the upper left asks
    k[0, 0, [10, 11, 14, 15], 0] = 1.0  # the one at the lower right answers
    found = rg.patterns.routing(q, k, (4, 4), size=2, keep=1).mask()[0, 0, 0]
    assert found.nonzero().flatten().tolist() == [10, 11, 14, 15]
    assert rg.patterns.routing(q, k, (4, 4), size=2, keep=4).mask().all()  # 21
    assert rg.patterns.routing(q, k, (4, 4), size=4, keep=1).mask().all()


def test_refusal() -> None:
    q = torch.zeros(1, 1, 16, 2)
    with pytest.raises(LayoutError, match="keep = 5 of 4 regions"):
        rg.patterns.routing(q, q, (4, 4), size=2, keep=5)
