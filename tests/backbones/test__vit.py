from __future__ import annotations

import pytest
import torch
from torch import Tensor

from regard.backbones._vit import Attention, ViT


def seeded(seed: int, side: int = 12, **more: bool) -> ViT:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ViT(side, 4, 6, 2, 2, **more).double().eval()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", [torch.bool, torch.float64])
def test_attention_is_that_of_the_kept_keys_alone(kind: torch.dtype) -> None:
    layer, x = seeded(0).blocks[0].attn, draw(2, 5, 6)
    assert isinstance(layer, Attention)
    keys = torch.tensor([[1, 0, 1, 1, 0], [1, 1, 0, 0, 1]]).to(kind)
    for row in range(2):
        kept = keys[row].bool()
        q, k, v = (t.unflatten(1, (2, 3)).transpose(0, 1) for t in layer.qkv(x[row]).chunk(3, -1))
        made = (q @ k[:, kept].mT / 3**0.5).softmax(-1) @ v[:, kept]
        wanted = layer.proj(made.transpose(0, 1).flatten(1))
        torch.testing.assert_close(layer(x, keys)[row], wanted)


def test_a_float_mask_hands_gradients_on() -> None:
    layer, x = seeded(0).blocks[0].attn, draw(1, 5, 6)
    keys = torch.tensor([[1.0, 0, 1, 1, 0]]).double().requires_grad_()
    (slope,) = torch.autograd.grad(layer(x, keys).square().sum(), keys)
    step = 1e-6
    for key in range(5):
        moved = keys.detach().clone()
        moved[0, key] += step
        up = (layer(x, moved).square().sum() - layer(x, keys).square().sum()) / step
        torch.testing.assert_close(slope[0, key], up.detach(), rtol=1e-3, atol=1e-5)


def test_without_places_patches_that_change_places_change_nothing_else() -> None:
    x = draw(1, 3, 12, 12)
    turned = x.roll(4, 3)
    for placed in (True, False):
        model = seeded(1, placed=placed)
        one, other = model(x)[0, 1:].view(3, 3, 6), model(turned)[0, 1:].view(3, 3, 6)
        assert torch.allclose(one.roll(1, 1), other) == (not placed)
