from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError


@pytest.fixture(scope="module")
def x(tiny_vit: nn.Module) -> torch.Tensor:
    return rg.image("sample:coffee", like=tiny_vit)


@pytest.fixture(scope="module")
def probs(tiny_vit: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad(), rg.watch(tiny_vit, keep="probs") as record:
        tiny_vit(x)
    return [r["probs"] for r in record]


@pytest.mark.parametrize("layer", [-1, 0, 5])
@pytest.mark.parametrize("head", [-1, 0, 2])
@pytest.mark.parametrize("query", [0, 100])
def test_is_the_row_of_the_matrix(
    layer: int, head: int, query: int, tiny_vit: nn.Module, x: torch.Tensor, probs: list[torch.Tensor]
) -> None:
    got = rg.explain(tiny_vit, x, method=partial(rg.explainers.attention, layer=layer, head=head, query=query))
    row = probs[layer][:, :, query, 1:]
    slow = row.mean(1) if head < 0 else row[:, head]
    torch.testing.assert_close(torch.from_numpy(got.values).flatten(1), slow)
    assert got.site == f"blocks.{layer % 12}.attn"


def test_heads_can_be_fused_by_their_maximum(tiny_vit: nn.Module, x: torch.Tensor, probs: list[torch.Tensor]) -> None:
    got = rg.explain(tiny_vit, x, method=partial(rg.explainers.attention, fuse="max"))
    torch.testing.assert_close(torch.from_numpy(got.values).flatten(1), probs[-1][:, :, 0, 1:].amax(1))


def test_refusals(tiny_vit: nn.Module, x: torch.Tensor) -> None:
    with pytest.raises(CallError, match="no layer 12: 12 lie on a grid"):
        rg.explain(tiny_vit, x, method=partial(rg.explainers.attention, layer=12))
    with pytest.raises(CallError, match=r"no query 197: there are 197 tokens"):
        rg.explain(tiny_vit, x, method=partial(rg.explainers.attention, query=197))
    cnn = rg.model("random:resnet18")
    with pytest.raises(CallError, match="no attention of this model lies on a grid") as caught:
        rg.explain(cnn, x, method="attention")
    assert "gradcam" in caught.value.hint


def test_a_head_that_is_not_there_is_refused(x: torch.Tensor) -> None:
    with pytest.raises(CallError, match=r"no head 3 at blocks\.11\.attn: it has 3"):
        rg.explain(rg.model("random:vit_tiny_patch16_224"), x, method=partial(rg.explainers.attention, head=3))
