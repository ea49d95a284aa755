"""One head in full precision: what is kept gives the watched attention again, whatever made it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from regard.core.record import Reading
from regard.looking import exact as module
from regard.looking.exact import Exact, exact, softmax


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def reading(mechanism: str = "sdpa", **given: Any) -> Reading:
    plain: dict[str, Any] = {
        "site": "blocks.2.attn", "index": 0, "mechanism": mechanism, "batch": 2, "heads": 4, "queries": 6, "keys": 6,
        "scale": 0.5, "causal": False, "bias": None, "grid": None, "error": torch.zeros(()),
        "values": {"q": 3 * random(2, 4, 6, 3), "k": 3 * random(2, 4, 6, 3, seed=1)},
    }  # fmt: skip
    return Reading(**(plain | given))


def slow(one: Reading, head: int, picture: int = 0) -> np.ndarray:
    """softmax(scale q k^T + bias), row by row."""
    groups = one.heads // one["k"].shape[1]
    q, k = one["q"][picture, head].double(), one["k"][picture, head // groups].double()
    rows = []
    for i in range(one.queries):
        logits = torch.stack([one.scale * (q[i] @ k[j]) for j in range(one.keys)])
        if one.bias is not None:
            bias = one.bias.expand(one.batch, one.heads, one.queries, one.keys)[picture, head, i]
            logits = logits.masked_fill(~bias, -torch.inf) if bias.dtype == torch.bool else logits + bias
        if one.causal:
            logits[i + 1 :] = -torch.inf
        rows.append(torch.softmax(logits, 0))
    return torch.stack(rows).numpy()


CASES: dict[str, Any] = {
    "plain": {},
    "grouped keys": {"values": {"q": random(2, 4, 6, 3), "k": random(2, 2, 6, 3, seed=1)}},
    "a bias": {"bias": random(1, 4, 6, 6, seed=2)},
    "a mask": {"bias": torch.eye(6, dtype=torch.bool).roll(1, 0) | torch.eye(6, dtype=torch.bool)},
    "causal": {"causal": True},
    "causal and a bias": {"causal": True, "bias": random(6, 6, seed=2)},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("head", "picture"), [(0, 0), (3, 1)])
def test_q_and_k_give_the_attention_again(name: str, head: int, picture: int) -> None:
    one = reading(**CASES[name])
    found = exact(one, 2, head, picture=picture)
    assert (found.layer, found.head, found.address, found.tokens) == (2, head, "blocks.2.attn", 6)
    assert found.q is not None
    assert found.probs is None
    np.testing.assert_allclose(found.attention(), slow(one, head, picture), atol=1e-6)
    np.testing.assert_allclose(found.attention().sum(-1), 1, atol=1e-9)
    assert found.error <= 9e-7


def test_logits_are_sums_of_products() -> None:
    one = reading(bias=random(6, 6, seed=2))
    found = exact(one, 0, 1)
    assert found.q is not None
    assert found.k is not None
    for i, j in ((0, 5), (3, 3)):
        products = [0.5 * float(found.q[i, d]) * float(found.k[j, d]) for d in range(3)]
        assert found.logits()[i, j] == pytest.approx(sum(products) + float(one.bias[i, j]), rel=1e-9)  # type: ignore[index]


def by_hand(probs: Tensor, **values: Tensor) -> Reading:
    return reading("by hand", values={"probs": probs, **values}, scale=1.0)


def test_of_attention_by_hand_the_scale_is_found() -> None:
    q, k = random(2, 4, 6, 3), random(2, 4, 6, 3, seed=1)
    found = exact(by_hand(torch.softmax(0.37 * q @ k.mT, -1), q=q, k=k), 0, 1)
    assert found.scale == pytest.approx(0.37, rel=1e-5)
    assert found.probs is None


def test_weights_that_are_no_softmax_of_these_products_are_kept_themselves() -> None:
    q, k = random(2, 4, 6, 3), random(2, 4, 6, 3, seed=1)
    mixed = torch.softmax(q @ k.mT, -1).roll(1, 1)  # as talking heads do
    masked = torch.softmax((q @ k.mT).masked_fill(torch.ones(6, 6).triu(1).bool(), -torch.inf), -1)
    for one in (by_hand(mixed, q=q, k=k), by_hand(masked, q=q, k=k), by_hand(mixed)):
        found = exact(one, 0, 2, picture=1)
        assert found.q is None
        np.testing.assert_array_equal(found.attention(), one["probs"][1, 2].double().numpy())
        np.testing.assert_allclose(softmax(found.logits()), one["probs"][1, 2].numpy(), atol=1e-7)
        assert found.error == 0


def test_entries_that_rounding_moved_are_put_back() -> None:
    """Keys far from 0 make logits of hundreds, which float32 knows to some 1e-5."""
    q, k = random(1, 1, 40, 3), random(1, 1, 40, 3, seed=1)
    one = reading(batch=1, heads=1, queries=40, keys=40, values={"q": q, "k": k + 99}, scale=1.0)
    found = exact(one, 0, 0)
    hooked = torch.softmax(q @ (k + 99).mT, -1)[0, 0].numpy()
    bare = Exact(0, 0, "", 1.0, found.places[:0], found.kept[:0], 0.0, q=found.q, k=found.k)
    assert np.abs(bare.attention() - hooked).max() > 1e-6
    assert 0 < len(found.places) < 1600
    assert np.abs(found.attention() - hooked).max() <= 1e-6
    assert (np.diff(found.places.astype(int)) > 0).all(), "the page looks them up by bisection"


def test_bytes_are_those_of_the_arrays() -> None:
    assert exact(reading(), 0, 0).bytes >= 2 * 6 * 3 * 4
    found = exact(reading(bias=random(6, 6)), 0, 0)
    assert found.bytes == 4 * (2 * 6 * 3 + 36 + 2 * len(found.kept))


def test_a_wholly_masked_row_is_zero() -> None:
    assert softmax(np.array([[-np.inf, -np.inf], [0.0, 0.0]])).tolist() == [[0, 0], [0.5, 0.5]]


def test_what_is_more_than_rounding_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    one = reading()
    found = exact(one, 0, 2, picture=1)
    assert (found.q, found.k, len(found.places), found.error) == (None, None, 0, 0.0)
    np.testing.assert_allclose(found.attention(), slow(one, 2, 1), atol=1e-6)  # then the weights are kept instead
