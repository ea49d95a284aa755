"""biformer works: bi-level routing equals gathered regions, finds what was planted, costs what its formula says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works


def routed(q: Tensor, k: Tensor, v: Tensor, side: int, cut: int, keep: int) -> Tensor:
    """The paper's own way: regions as an axis, gathered keys of the chosen regions, softmax over these alone."""
    b, h, _, d = q.shape

    def regions(x: Tensor) -> Tensor:  # [B, H, regions, tokens, D]
        grid = x.view(b, h, side // cut, cut, side // cut, cut, d)
        return grid.permute(0, 1, 2, 4, 3, 5, 6).reshape(b, h, -1, cut * cut, d)

    q, k, v = map(regions, (q, k, v))
    means = [x.mean(3).transpose(1, 2).flatten(2) for x in (q, k)]  # heads side by side
    chosen = (means[0] @ means[1].mT).topk(keep, -1).indices[:, None].expand(-1, h, -1, -1)
    batch, head = torch.arange(b).view(-1, 1, 1, 1), torch.arange(h).view(1, -1, 1, 1)
    near, values = (x[batch, head, chosen].flatten(3, 4) for x in (k, v))
    out = (q @ near.mT * d**-0.5).softmax(-1) @ values
    n = side // cut
    return out.view(b, h, n, n, cut, cut, d).permute(0, 1, 2, 4, 3, 5, 6).reshape(b, h, side * side, d)


@works("biformer")
@pytest.mark.parametrize("seed", range(3))
def test_routing_equals_gathered_regions_and_finds_the_planted_one(seed: int) -> None:
    """To 1e-11 in float64 for every k, against the gathered form; k = all regions is dense; pairs are N k N / S^2; a
    region whose keys answer another region's queries is routed to, whatever the noise."""
    draw = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(2, 2, 144, 8, generator=draw, dtype=torch.float64) for _ in range(3))
    for keep in range(1, 10):
        pattern = rg.patterns.routing(q, k, (12, 12), size=4, keep=keep)
        got = rg.attend(q, k, v, pattern=pattern).out
        torch.testing.assert_close(got, routed(q, k, v, 12, 4, keep), rtol=1e-11, atol=1e-11)
        plan = pattern.plan(dim=8, heads=2, batch=2)
        assert plan.pairs == 144 * keep * 144 // 9
        assert plan.flops == 4 * 2 * 2 * 8 * plan.pairs
    torch.testing.assert_close(got, rg.attend(q, k, v, impl="reference").out, rtol=1e-11, atol=1e-11)

    asks = torch.zeros(12, 12, dtype=torch.bool)
    answers = asks.clone()
    asks[0:4, 8:12], answers[8:12, 4:8] = True, True
    direction = torch.randn(8, generator=draw, dtype=torch.float64)
    q[:, :, asks.flatten()] += 2 * direction
    k[:, :, answers.flatten()] += 2 * direction
    seen = rg.patterns.routing(q, k, (12, 12), size=4, keep=1).mask()[:, 0, 8]  # a token that asks
    assert all(row.view(12, 12).equal(answers) for row in seen)
