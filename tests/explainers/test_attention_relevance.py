from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.errors import CallError, SiteError
from regard.explainers._attention_relevance import layers_on_grid
from regard.mechanisms import ALL
from regard.subjects.forward import Subject
from regard.subjects.scorer import Scorer

from .models import draw, explained, values
from .test__attention_relevance import Toy, by_hand
from .test_lrp import bare_vit

X = draw(2, 3, 12, 16)


def slopes(model: Toy, x: Tensor) -> list[Tensor]:
    """dy/dA `[B, H, N, N]` of each layer of the network written out."""
    kept = []
    tokens = model.tokens(x)
    for block in model.blocks:
        q, k, v = block.parts(tokens)  # type: ignore[operator, union-attr]
        a = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
        kept.append(a)
        tokens = tokens + block.proj((a @ v).transpose(1, 2).flatten(2))  # type: ignore[operator, union-attr]
        tokens = tokens + block.fc2(torch.nn.functional.gelu(block.fc1(block.norm2(tokens))))  # type: ignore[operator, union-attr]
    return list(torch.autograd.grad(model.head(model.norm(tokens)[:, 0])[:, 1].sum(), kept))


@pytest.mark.parametrize(("query", "start"), [(None, 0), (5, 1)])
def test_is_the_row_of_relevance_handed_back_by_hand(query: int | None, start: int) -> None:
    model = Toy()
    with torch.no_grad():
        relevant = [torch.stack(both) for both in zip(*(by_hand(model, one, 1) for one in X), strict=True)]
    product = torch.eye(13, dtype=torch.float64).expand(2, 13, 13)
    for a, g in list(zip(relevant, slopes(model, X), strict=True))[start:]:
        product = (torch.eye(13) + (a * g).clamp_min(0).mean(1)) @ product
    got = explained(model, X, "attention_relevance", query=query, start=start)
    torch.testing.assert_close(values(got).flatten(1), product[:, query or 0, 1:])
    assert (got.forwards, got.target) == (6, "class 1")


def test_a_network_without_biases_conserves_relevance() -> None:
    """What attention matrices hold is half of what came to their outputs, and no more than 1 in any layer."""
    model, x = bare_vit(), draw(2, 3, 16, 16, seed=3)
    layers, _, _ = layers_on_grid(Scorer(Subject(model, x, ALL), 1))
    for layer in layers:
        out = layer.call.probs() @ layer.call.values_per_head
        relevant = layer.call.probs() * (layer.share @ layer.call.values_per_head.mT) / 2
        torch.testing.assert_close(relevant.sum((1, 2, 3)), (out * layer.share).sum((1, 2, 3)) / 2)
        assert (relevant.sum((1, 2, 3)) < 0.5).all()


def test_refusals() -> None:
    with pytest.raises(CallError, match="a start at layer 2 of 2"):
        explained(Toy(), X, "attention_relevance", start=2)
    with pytest.raises(CallError, match="no query 13"):
        explained(Toy(), X, "attention_relevance", query=13)
    cnn = rg.model("random:test_resnet")
    with pytest.raises(SiteError, match="the model made no attention call"):
        rg.explain(cnn, rg.image("sample:coffee", like=cnn), method="attention_relevance")
