from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.operators._features import Feature, feature_map

from .tools import agree, normalised, qkv, refuses

linear = rg.operators.linear
FEATURES: list[Feature] = ["elu", "taylor", "none"]


def slow(feature: Feature, causal: bool, norm: bool):  # type: ignore[no-untyped-def]
    def quadratic(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = feature_map(q, feature) @ feature_map(k, feature).mT
        weights = weights.tril() if causal else weights
        return (normalised(weights) if norm else weights) @ v

    return quadratic


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("normalise", [True, False])
def test_equals_the_quadratic_form(feature: Feature, normalise: bool) -> None:
    norm = normalise and feature != "none"
    agree(lambda q, k, v: linear(q, k, v, feature=feature, normalise=norm), slow(feature, False, norm), *qkv(q=4, k=9))


@pytest.mark.parametrize("form", ["parallel", "recurrent", "chunked"])
@pytest.mark.parametrize("feature", FEATURES)
def test_causal_in_three_forms(feature: Feature, form: str) -> None:
    norm = feature != "none"
    run = lambda q, k, v: linear(q, k, v, feature=feature, causal=True, normalise=norm, form=form, chunk=3)  # noqa: E731
    agree(run, slow(feature, True, norm), *qkv())


def test_the_planted_fault_a_future_key_changes_nothing_before_it() -> None:
    q, k, v = qkv()
    moved = v.clone()
    moved[:, :, 4] += 1
    for causal in (True, False):
        same = (linear(q, k, v, causal=causal) == linear(q, k, moved, causal=causal))[:, :, :4].all()
        assert bool(same) is causal


def test_weights_of_relu_may_vanish_and_give_zero() -> None:
    q, k, v = qkv()
    assert torch.equal(linear(-q.abs(), k, v, feature="relu"), torch.zeros_like(v))


def test_refusals() -> None:
    q, k, v = qkv(q=3, k=5)
    refuses("signed scores may sum to 0", "normalise=False", linear, q, k, v, feature="none")
    refuses("3 queries and 5 keys", "self-attention", linear, q, k, v, causal=True)
    refuses("feature='cos'", "elu", linear, q, k, v, feature="cos")
