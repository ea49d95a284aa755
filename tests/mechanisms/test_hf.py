from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import ViTConfig, ViTModel

import regard as rg
from regard.mechanisms.hf import prepare


@pytest.fixture
def vit() -> nn.Module:
    config = ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=32, image_size=32, patch_size=8
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ViTModel(config).eval()


X = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["flex_attention", "flash_attention_2"])
def test_hidden_kernels_run_as_sdpa_for_as_long_as_anything_is_open(vit: nn.Module, name: str) -> None:
    with torch.no_grad():
        plain = vit(X).last_hidden_state
        vit.config._attn_implementation = name
        with rg.watch(vit, keep="entropy") as record:
            with rg.edit(vit, rg.edits.temperature(1.0)):
                assert vit.config._attn_implementation == "sdpa"
            assert vit.config._attn_implementation == "sdpa"
            watched = vit(X).last_hidden_state
    assert vit.config._attn_implementation == name
    assert len(record) == 2
    torch.testing.assert_close(watched, plain)


def test_it_is_restored_after_an_error(vit: nn.Module) -> None:
    vit.config._attn_implementation = "flex_attention"
    with pytest.raises(ZeroDivisionError), rg.watch(vit):
        raise ZeroDivisionError
    assert vit.config._attn_implementation == "flex_attention"


def test_what_is_not_hidden_is_left_alone(vit: nn.Module) -> None:
    for name in ("sdpa", "eager"):
        vit.config._attn_implementation = name
        assert prepare(vit) is None
        assert vit.config._attn_implementation == name
    assert prepare(nn.Identity()) is None
