from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import regard as rg
from regard.core import call as call_module
from regard.errors import LayoutError
from regard.testing.planted import PlantedViT, planted_pictures


def explicit(model: nn.Module, x: torch.Tensor, residual: float) -> torch.Tensor:
    """The product of (1 - r) A + r I over the layers, as the paper writes it: `[B, N, N]`."""
    with torch.no_grad(), rg.watch(model, keep="probs") as record:
        model(x)
    product: torch.Tensor | None = None
    for reading in record:
        a = reading["probs"].mean(1)
        mixed = (1 - residual) * a + residual * torch.eye(a.shape[-1], dtype=a.dtype)
        product = mixed if product is None else mixed @ product
    assert product is not None
    return product


@pytest.mark.parametrize("residual", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("query", [0, 7])
def test_is_the_row_of_the_explicit_product(residual: float, query: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "BLOCK", 3000)
    model, x = PlantedViT(seed=3).double(), planted_pictures([(1, 2), (5, 5)], dtype=torch.float64)
    got = rg.explain(model, x, method=partial(rg.explainers.rollout, residual=residual, query=query))
    slow = explicit(model, x, residual)
    torch.testing.assert_close(torch.from_numpy(got.values).flatten(1), slow[:, query, 1:], rtol=1e-12, atol=1e-12)


def test_the_row_keeps_its_sum() -> None:
    model, x = PlantedViT().double(), planted_pictures([(1, 2)], dtype=torch.float64)
    torch.testing.assert_close(explicit(model, x, 0.5).sum(-1), torch.ones(1, 65, dtype=torch.float64))
    got = rg.explain(model, x, method="rollout")
    assert got.values.sum() < 1.0  # the rest stays on CLS


def test_residual_one_never_leaves_the_query() -> None:
    got = rg.explain(PlantedViT(), planted_pictures([(1, 2)]), method=partial(rg.explainers.rollout, residual=1.0))
    assert got.values.max() == 0.0
    assert got.warnings == ("map 0: all values are 0",)


def test_uniform_attention_has_a_closed_form() -> None:
    """With A = 1/N everywhere the CLS row of two layers is r^2 at CLS, and (1 - r^2) / N everywhere."""
    model, x = PlantedViT(sharpness=0.0).double(), planted_pictures([(1, 2)], dtype=torch.float64)
    for p in (b.attn.qkv for b in model.blocks):
        p.weight.data[: 2 * 16] = 0.0
    got = rg.explain(model, x, method="rollout").values
    torch.testing.assert_close(torch.from_numpy(got), torch.full((1, 8, 8), 0.75 / 65, dtype=torch.float64))


@pytest.mark.parametrize("residual", [-0.1, 1.5])
def test_a_residual_is_a_share(residual: float) -> None:
    model = rg.model("random:vit_tiny_patch16_224")
    with pytest.raises(LayoutError, match=f"a residual of {residual}"):
        rg.explain(model, torch.zeros(1, 3, 224, 224), method=partial(rg.explainers.rollout, residual=residual))
