from __future__ import annotations

import pytest
import torch

from regard.errors import CallError
from regard.testing.planted import PlantedViT, planted_pictures, planted_prompts

from .models import explained, values

X = planted_pictures([(2, 5), (5, 1)], dtype=torch.float64)


@pytest.mark.parametrize("head", [-1, 0, 1])
def test_is_the_prompts_row_of_an_explicit_softmax(head: int) -> None:
    model = planted_prompts().double()
    with torch.no_grad():
        model.prompts.copy_(torch.randn(3, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    made = explained(model, X, "prompt_cam", target=2, head=head)
    vit = PlantedViT().double()
    tokens = vit.blocks[0](torch.cat([vit.cls.expand(2, -1, -1), vit.embed(X).flatten(2).transpose(1, 2)], 1))
    tokens = torch.cat([model.prompts.expand(2, -1, -1), tokens], 1)
    q, k, _ = vit.blocks[1].attn.qkv(tokens).view(2, -1, 3, 2, 8).permute(2, 0, 3, 1, 4)
    rows = (q[:, :, 2:3] @ k.mT / 8**0.5).softmax(-1)[:, :, 0, 4:]
    wanted = rows.mean(1) if head < 0 else rows[:, head]
    torch.testing.assert_close(values(made).flatten(1), wanted.detach())
    assert made.site == "backbone.blocks.1.attn"


def test_refusals() -> None:
    with pytest.raises(CallError, match="no head 2"):
        explained(planted_prompts().double(), X, "prompt_cam", head=2)
    with pytest.raises(CallError, match="has no prompt of its own"):
        explained(planted_prompts().double(), X, "prompt_cam", target=(0, 1))
