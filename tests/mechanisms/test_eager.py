"""Attention by hand in real models, against what their own hooks and outputs say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.core.scope import Maker
from regard.core.track import Logits, Product
from regard.mechanisms.eager import eager, operands


def captured(model: nn.Module, x: Any, name: str) -> dict[str, Tensor]:
    """What goes into the modules of a name: dropouts on weights, in timm."""
    kept: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, args, at=at: kept.__setitem__(at, args[0]))
        for at, module in model.named_modules()
        if at.endswith(name)
    ]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


def drawn(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("swin_tiny_patch4_window7_224", 12),
        ("swinv2_cr_tiny_ns_224", 12),
        ("tnt_s_legacy_patch16_224", 24),
        ("levit_128s", None),
        ("vit_tiny_patch16_224", 12),
    ],
)
def test_timm_models_are_read_as_their_dropouts_see_them(name: str, calls: int | None) -> None:
    model = rg.model(f"random:{name}")
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = model(x)
        wanted = captured(model, x, ".attn_drop")
        with rg.watch(model, keep="probs") as record:
            watched = model(x)
    assert torch.equal(plain, watched)
    assert not record.not_covered
    assert {r.mechanism for r in record} == {"by hand"}
    if calls is not None:
        assert len(record) == calls
    for site, probs in wanted.items():
        reading = record[site.removesuffix(".attn_drop")]
        torch.testing.assert_close(reading["probs"].reshape(probs.shape), probs)


def test_eager_is_the_fused_call_read_another_way() -> None:
    model = rg.model("random:vit_tiny_patch16_224")
    x = rg.image("sample:coffee", like=model)
    kept: dict[str, Any] = {"keep": ["attention", "entropy", "distance", "received", "pooled"]}
    with torch.no_grad():
        with rg.watch(model, **kept) as fused:
            model(x)
        for block in model.blocks:  # type: ignore[union-attr]
            block.attn.fused_attn = False
        with rg.watch(model, **kept) as spelled:
            model(x)
    for a, b in zip(fused, spelled, strict=True):
        assert (a.site, a.grid, a.heads) == (b.site, b.grid, b.heads)
        assert b.gives == ("q", "k", "v", "out", "probs")
        for name in ("entropy", "distance", "received", "pooled"):
            torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-5, equal_nan=True)
    for method in ("rollout", "attention"):
        eager_map = rg.explain(model, x, method=method)
        for block in model.blocks:  # type: ignore[union-attr]
            block.attn.fused_attn = True
        fused_map = rg.explain(model, x, method=method)
        for block in model.blocks:  # type: ignore[union-attr]
            block.attn.fused_attn = False
        torch.testing.assert_close(torch.tensor(eager_map.values), torch.tensor(fused_map.values), rtol=1e-3, atol=1e-6)
    found = rg.discover(model, x, "pca")
    assert found.site == "k at blocks.11.attn"


def test_multihead_attention_that_returns_weights() -> None:
    with torch.random.fork_rng(devices=[]):
        attention = nn.MultiheadAttention(12, 3, batch_first=True).eval()
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(0))
    with rg.watch(attention, keep=["probs", "out"]) as record:
        _, weights = attention(x, x, x, need_weights=True, average_attn_weights=False)
    torch.testing.assert_close(record["(root)"]["probs"], weights)
    assert record["(root)"]["out"].shape == (2, 3, 5, 4)
    assert not record.not_covered


def test_hugging_face_models_in_eager_mode() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=32, image_size=32, patch_size=8
    )
    with torch.random.fork_rng(devices=[]):
        model = transformers.ViTModel._from_config(config, attn_implementation="eager").eval()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        told = model(x, output_attentions=True).attentions
        with rg.watch(model, keep=["probs", "distance"]) as record:
            model(x)
    assert len(record) == 2
    assert str(record.readings[0].grid) == "4x4+1"
    for reading, probs in zip(record, told, strict=True):
        torch.testing.assert_close(reading["probs"], probs)


def test_channel_attention_is_a_call_without_a_grid() -> None:
    model = rg.model("random:xcit_nano_12_p16_224")
    with torch.no_grad(), rg.watch(model, keep="entropy") as record:
        model(torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)))
    across = [r for r in record if ".attn" in r.site and r.queries == r.keys < 100]
    assert len(across) == 12
    assert all(r.grid is None for r in across)


def test_merged_heads_are_told_apart_by_the_module_only() -> None:
    p, v = drawn(6, 5, 7), drawn(6, 7, 4)
    module = nn.Identity()
    assert eager(Product(p, v, p @ v, None), Maker(module)) is None
    module.num_heads = 4  # type: ignore[assignment]
    assert eager(Product(p, v, p @ v, None), Maker(module)) is None, "6 is no multiple of 4"
    module.num_heads = 3  # type: ignore[assignment]
    parsed = eager(Product(p, v, p @ v, None), Maker(module))
    assert parsed is not None
    assert torch.equal(parsed.fields["weights"], p.view(2, 3, 5, 7))
    assert torch.equal(parsed.fields["v"], v.view(2, 3, 7, 4))


def test_operands_must_fit_the_weights() -> None:
    q, k, p = drawn(6, 5, 4), drawn(6, 7, 4), drawn(2, 3, 5, 7)
    found = operands(Logits(q, k.mT), p)
    assert found[0] is not None
    assert found[1] is not None
    assert torch.equal(found[0], q.view(2, 3, 5, 4))
    assert torch.equal(found[1], k.view(2, 3, 7, 4))
    assert operands(Logits(q[:3], k[:3].mT), p) == (None, None)
    assert operands(Logits(q[:, :4], k.mT), p) == (None, None)
    assert operands(None, p) == (None, None)
