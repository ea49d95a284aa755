from __future__ import annotations

import pytest
import torch

from regard.errors import DegenerateError, LayoutError
from regard.gaze.metrics._shared import (
    area,
    check_map,
    logs,
    moments,
    pieces,
    pixels,
    ranks,
    shares,
    stepped,
    stretched,
    weighed,
)

from .tools import refuses


def test_pixels_are_floors() -> None:
    heat = torch.zeros(3, 4)
    points = torch.tensor([[0.0, 0.0], [3.999, 2.999], [3.0, 2.0]])
    assert pixels(points, heat).tolist() == [0, 11, 11]
    assert pixels(points, heat, merge=True).tolist() == [0, 11]
    refuses(LayoutError, "x goes before y", pixels, torch.tensor([[2.0, 3.5]]), heat)


def test_area_of_known_curves() -> None:
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    assert float(area(x, x)) == pytest.approx(0.5)
    assert float(area(x.sqrt(), x)) == pytest.approx(2 / 3, abs=1e-3)
    assert area(torch.ones(2, 3), torch.zeros(2, 3)).tolist() == [1, 1]


def test_ranks_and_steps() -> None:
    assert float(ranks(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0, 3.0]))) == pytest.approx((1.5 + 2) / 6)
    assert float(stepped(torch.ones(1, 2), torch.zeros(1, 2), 0.5)) == 1.0


def test_shares_and_stretched() -> None:
    assert shares(torch.tensor([[-1.0, 1.0]]), "it").tolist() == [[0, 1]]
    assert stretched(torch.tensor([[2.0, 4.0], [3.0, 2.0]])).tolist() == [[0, 1], [0.5, 0]]
    assert stretched(torch.full((1, 2), 3.0)).tolist() == [[0, 0]]
    refuses(DegenerateError, "it sums to 0", shares, torch.zeros(1, 2), "it")
    refuses(LayoutError, r"it is \[2\]", check_map, torch.zeros(2), "it")


@pytest.mark.parametrize("seed", range(3))
def test_ranks_of_many_equal_a_comparison_of_all_pairs(seed: int) -> None:
    """Enough values that they are counted in steps: heavy tails, ties, hits outside their range, and a constant."""
    g = torch.Generator().manual_seed(seed)
    many = torch.rand(80_000, generator=g, dtype=torch.float64)
    for others in (many, (many * 50).round() / 50, many**12, -1e6 * many, torch.full_like(many, 0.3)):
        hits = torch.cat([others[:40], others[:3], others.min()[None] - 1, others.max()[None] + 1])
        want = torch.stack([(others < h).double().mean() + (others == h).double().mean() / 2 for h in hits]).mean()
        assert float(ranks(hits, others)) == pytest.approx(float(want), abs=1e-12)
        assert float(ranks(hits.float(), others.float())) == pytest.approx(float(want), abs=2e-3)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0, 1e3, -1e6])
def test_moments_wherever_the_map_lies(level: float) -> None:
    """Sums about 0 alone would lose 12 digits of the variance at a level of 1e6."""
    drawn = torch.rand(31, 47, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + level
    got = moments(drawn, drawn.sum())
    assert float(got.variance) == pytest.approx(float(drawn.var(correction=0)), rel=1e-9)
    off = got.values - got.mean
    assert torch.allclose(off, (drawn - drawn.mean()).flatten(), atol=1e-9)


def test_a_constant_map_has_no_spread_whatever_rounding_says() -> None:
    for dtype in (torch.float32, torch.float64):
        flat = torch.full((37, 91), 0.1, dtype=dtype)
        assert float(moments(flat, flat.sum()).variance) == 0


def test_pieces_are_the_whole_and_logs_are_torchs() -> None:
    a, b = torch.rand(2, 300, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = list(pieces(a, b))
    assert len(parts) > 1
    assert torch.equal(torch.cat([p[0] for p in parts]), a.flatten())
    assert torch.equal(torch.cat([p[1] for p in parts]), b.flatten())
    assert torch.allclose(logs(a.flatten()), a.flatten().log(), rtol=1e-14)
    assert torch.autograd.gradcheck(logs, a[0, :5].clone().requires_grad_())
    assert torch.allclose(torch.vmap(logs)(a), a.log(), rtol=1e-14)


def test_weighed_moves_only_what_is_negative() -> None:
    low, high = torch.tensor([[-1.0, 2.0]]), torch.tensor([[1.0, 2.0]])
    assert [t.tolist() for t in weighed(low, "it", low.sum())] == [[[0.0, 3.0]], 3.0]
    assert [t.tolist() for t in weighed(high, "it", high.sum())] == [[[1.0, 2.0]], 3.0]
