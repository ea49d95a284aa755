from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import SiteError
from regard.explainers._calls import caught
from regard.mechanisms import ALL
from regard.subjects.forward import Subject
from regard.subjects.scorer import Scorer
from regard.testing.planted import PlantedViT, planted_pictures

from .matrices import attention_of, gradient_of
from .models import Linear, draw
from .test__attention_relevance import Toy


def scorer(model: nn.Module, x: Tensor) -> Scorer:
    return Scorer(Subject(model, x, ALL), 1)


def test_calls_carry_their_gradient_and_those_before_them() -> None:
    """G is the slope of the score when the call's output is moved, one entry at a time."""
    model, x = Toy(), draw(1, 3, 12, 16)
    found = caught(scorer(model, x))
    assert [(one.of_queries, one.of_keys) for one in found] == [(frozenset(), frozenset()), (frozenset({0}),) * 2]
    step = 1e-6
    for layer, one in enumerate(found):
        assert not one.call.q.requires_grad  # type: ignore[union-attr]
        assert one.call.after == ()
        for head, query, entry in ((0, 0, 1), (1, 3, 2)):
            moved = torch.zeros_like(one.slope)
            moved[0, head, query, entry] = step
            with torch.no_grad(), rg.edit(model, lambda out, by=moved: out + by, f"blocks.{layer}"):
                up = model(x)[0, 1]
            slope = (up - model(x)[0, 1].detach()) / step
            torch.testing.assert_close(slope, one.slope[0, head, query, entry], rtol=1e-4, atol=1e-7)


def test_matrices_come_back_out_of_what_is_kept() -> None:
    model, x = PlantedViT(seed=2).double(), planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)
    for one, a, g in zip(caught(scorer(model, x)), attention_of(model, x), gradient_of(model, x), strict=True):
        torch.testing.assert_close(one.call.probs(), a)
        torch.testing.assert_close(one.slope @ one.call.values_per_head.mT, g)


def test_relative_starts_at_one() -> None:
    score = scorer(Toy(), draw(2, 3, 12, 16))
    for one, other in zip(caught(score), caught(score, relative=True), strict=True):
        torch.testing.assert_close(other.slope * score.value.view(2, 1, 1, 1), one.slope)


def test_a_model_without_attention_is_refused() -> None:
    with pytest.raises(SiteError, match="no attention call"):
        caught(scorer(Linear((3, 2, 2)), draw(1, 3, 2, 2)))
