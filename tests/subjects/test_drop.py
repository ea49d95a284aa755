"""Tokens left out equal tokens whose keys are masked, on models that allow it; others are refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import regard as rg
from regard.api import _subject
from regard.errors import CallError
from regard.subjects.cells import grid_cells, segment_cells
from regard.subjects.designs import fixed
from regard.subjects.drop import TokenDrop
from regard.subjects.scorer import Scorer


def dropping(model: nn.Module, cells: int = 4, target: Any = 3) -> TokenDrop:
    x = rg.image("sample:coffee", like=model, patches=100)
    return TokenDrop(Scorer(_subject(model, x), target), grid_cells(x, cells))


def hf_vit() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=48, num_hidden_layers=3, num_attention_heads=3, intermediate_size=64, image_size=56, patch_size=8,
        num_labels=5,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.ViTForImageClassification(config).eval()
        for p in model.parameters():
            nn.init.normal_(p, std=0.2)
    return model


@pytest.mark.parametrize("name", ["timm", "dinov2", "hf"])
def test_equals_masked_keys(name: str, tiny_vit: nn.Module, dinov2: nn.Module) -> None:
    model = {"timm": lambda: tiny_vit, "dinov2": lambda: dinov2, "hf": hf_vit}[name]()
    square = torch.rand(1, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    x = square if name == "hf" else rg.image("sample:coffee", like=model, patches=100)
    drop = TokenDrop(Scorer(_subject(model, x), 3), grid_cells(x, 7))
    keep = fixed(3, drop.cells.count, torch.Generator().manual_seed(0), share=0.3)[:, None]
    with torch.no_grad():
        short = torch.cat([drop(one[None]) for one in keep])
        torch.testing.assert_close(short, drop.masked(keep), rtol=2e-4, atol=2e-4)
    assert not torch.allclose(short, drop.score.value.float(), atol=1e-3)


def test_nothing_stays_hooked(tiny_vit: nn.Module) -> None:
    before = [len(m._forward_hooks) for m in tiny_vit.modules()]
    dropping(tiny_vit)
    assert [len(m._forward_hooks) for m in tiny_vit.modules()] == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resnet18", "no patch tokens beside a class token"),
        ("swin_tiny_patch4_window7_224", "cannot be left out|no place is known"),
        ("beit_base_patch16_224", "no place is known|not the same as masking|does not run"),
    ],
)
def test_models_that_cannot_are_refused(name: str, text: str) -> None:
    with pytest.raises(CallError, match=text) as caught:
        dropping(rg.model(f"random:{name}"))
    assert "baseline='blur'" in str(caught.value)


def test_an_average_over_tokens_is_noticed() -> None:
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model("vit_tiny_patch16_224", global_pool="avg", class_token=True).eval()
        nn.init.normal_(model.head.weight, std=0.5)
    with pytest.raises(CallError, match="not the same as masking"):
        dropping(model)


def test_the_check_can_fail(tiny_vit: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted fault: the other half of the tokens is masked."""
    x = rg.image("sample:coffee", like=tiny_vit)
    score = Scorer(_subject(tiny_vit, x), 3)
    monkeypatch.setattr(TokenDrop, "masked", lambda self, keep: self(~keep))
    with pytest.raises(CallError, match="not the same as masking"):
        TokenDrop(score, grid_cells(x, 4))


def test_segments_are_refused(tiny_vit: nn.Module) -> None:
    x = rg.image("sample:coffee", like=tiny_vit)
    with pytest.raises(CallError, match="by segments"):
        TokenDrop(Scorer(_subject(tiny_vit, x), 3), segment_cells(x, 4))
