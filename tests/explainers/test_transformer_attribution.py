from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import CallError
from regard.testing.planted import PlantedViT, planted_pictures

from .matrices import attention_of, gradient_of
from .models import explained, values

X = planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)


@pytest.mark.parametrize("query", [None, 9])
def test_is_the_row_of_the_explicit_product(query: int | None) -> None:
    """R <- R + mean_h (grad A * A)+ R from the first layer to the last, on retained matrices."""
    model = PlantedViT(seed=2).double()
    matrices = attention_of(model, X)
    relevance = torch.eye(65, dtype=torch.float64).expand(2, 65, 65)
    for a, g in zip(matrices, gradient_of(model, X), strict=True):
        relevance = relevance + (a * g).clamp_min(0).mean(1) @ relevance
    got = explained(model, X, "transformer_attribution", query=query)
    torch.testing.assert_close(values(got).flatten(1), relevance[:, query or 0, 1:])
    assert (got.site, got.target) == ("blocks.0.attn .. blocks.1.attn", "class 1")


def test_a_group_and_a_contrast_are_explained_as_any_score() -> None:
    model = PlantedViT().double()
    red, other = (values(explained(model, X, "transformer_attribution", t)) for t in (1, "2 vs 1"))
    assert red.flatten(1).argmax(1).tolist() == [2 * 8 + 5, 6 * 8 + 6]
    assert other.flatten(1).max() < red.flatten(1).max()


def test_refusals() -> None:
    cnn = rg.model("random:test_resnet")
    with pytest.raises(CallError, match="no attention of this model lies on a grid"):
        rg.explain(cnn, rg.image("sample:coffee", like=cnn), method="transformer_attribution")
    with pytest.raises(CallError, match="no query 65"):
        explained(PlantedViT().double(), X, "transformer_attribution", query=65)
