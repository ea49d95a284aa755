from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from regard.backbones import Parts, TwoStage
from regard.errors import LayoutError


def net(seed: int = 0, **more: int) -> TwoStage:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TwoStage(3, **({"side": 24, "width": 12, "parts": 2} | more)).eval()


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 24, 24, generator=torch.Generator().manual_seed(seed))


def given(mask: Tensor) -> Parts:
    """Parts of this mask, whatever the first stage would say."""
    hard = torch.stack([mask.float(), torch.zeros_like(mask).float(), (~mask).float()], 1)
    return Parts(hard.clamp_min(1e-9).log(), hard, torch.zeros(len(mask), 3))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_what_is_masked_changes_no_bit(kind: torch.dtype) -> None:
    """The law of an inherently faithful map, on random masks and loud changes; and what is kept does change it."""
    model, x = net().to(kind), pictures(6).to(kind)
    draws = torch.Generator().manual_seed(1)
    mask = torch.rand(6, 6, 6, generator=draws) < 0.4
    kept = F.interpolate(mask[:, None].float(), scale_factor=4) > 0.5
    before = model.see(x, given(mask))
    for seed, size in ((2, 1.0), (3, 1e4)):
        other = torch.where(kept, x, size * pictures(6, seed).to(kind))
        assert torch.equal(model.see(other, given(mask)), before)
    inside = torch.where(kept, pictures(6, 4).to(kind), x)
    assert bool((model.see(inside, given(mask)) != before).any(1).all())


def test_the_planted_fault_a_soft_mask_leaks() -> None:
    """What training uses is no certificate: masked weights are divided away, and rounding of what they were is left."""
    model, x = net(), pictures(6)
    mask = torch.zeros(6, 6, 6, dtype=torch.bool)
    mask[:, 2:4, 2:4] = True
    other = torch.where(F.interpolate(mask[:, None].float(), scale_factor=4) > 0.5, x, 30 * pictures(6, 5))
    model.train()
    soft = [model.see(one, given(mask)) for one in (x, other)]
    model.eval()
    hard = model.see(x, given(mask))
    torch.testing.assert_close(soft[0], hard, rtol=1e-4, atol=1e-5)
    assert torch.equal(hard, model.see(other, given(mask)))
    assert not torch.equal(*soft)


def test_parts_are_the_nearest_prototypes() -> None:
    model, x = net(), pictures(2)
    parts = model.find(x)
    tokens = model.first(x)[:, 1:]
    for row in range(2):
        for n, token in enumerate(tokens[row]):
            away = torch.stack([(token - p).square().sum() for p in model.prototypes])
            torch.testing.assert_close(parts.shares[row, :, n // 6, n % 6], (-away).softmax(0), rtol=1e-3, atol=1e-5)
            assert int(parts.hard[row, :, n // 6, n % 6].argmax()) == int(away.argmin())
    assert torch.equal(parts.mask, parts.hard[:, :2].sum(1) > 0.5)
    torch.testing.assert_close(model(x), model.see(x, given(parts.mask)))


def test_a_part_that_is_taken_away_is_not_seen() -> None:
    model, x = net(), pictures(4)
    parts = model.find(x)
    fewer = given(parts.mask & (parts.hard[:, 0] < 0.5))
    assert torch.equal(model.see(x, parts, without=(0,)), model.see(x, fewer))


def test_gradients_reach_both_stages() -> None:
    model, x, labels = net().train(), pictures(8), torch.arange(8) % 3
    model.loss(x, labels).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert bool(p.grad.any()) or "qkv.bias" in name, name


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="2 parts on pictures of 25 in patches of 4"):
        net(side=25)
