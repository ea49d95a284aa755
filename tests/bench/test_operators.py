"""Each operator can do the kinds that its card declares, and no other; crossovers by hand."""

import pytest
import torch
from torch import Tensor

from regard.bench.operators import call, crossover, leaks, operators, tensors
from regard.errors import LayoutError, MethodError, RegardError
from regard.registry import KINDS, Card, cards

CARDS = cards("operators")


def able(card: Card, kind: str) -> bool:
    """What the operator itself says: it runs on such tokens, and keeps to what the kind allows."""
    operands = tensors(card.subjects, 64, 2, 8, keys=48 if "cross" in kind else None)
    function = call(card, kind)
    try:
        out = function(*operands)
    except RegardError:
        return False
    assert out.shape[:3] == (1, 2, 64)
    assert out.isfinite().all()
    if kind == "cross":
        return True
    kept = not leaks(function, "causal self" if kind == "self" else kind, operands, card.subjects)
    return kept == (kind != "self")  # attention that can only be causal is not the other


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(name for name, card in CARDS.items() if card.kinds))
def test_a_card_declares_what_the_operator_can_do(name: str, kind: str) -> None:
    assert able(CARDS[name], kind) == (kind in CARDS[name].kinds)


def test_operators_without_a_kind_change_something_else_than_values() -> None:
    without = {name for name, card in CARDS.items() if not card.kinds}
    assert without == {"anchor", "context_broadcasting", "epipolar_line", "multivariate", "outlook"}


def test_a_leak_is_found_in_values_and_in_choices() -> None:
    q, k, v = tensors(("q", "k", "v"), 32, 2, 4)

    def honest(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return q + v.cumsum(2)

    def chooses(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return honest(q, k, v) * (k.sum((2, 3), keepdim=True) > k.cumsum(2).sum(3, keepdim=True))  # no gradient to k

    assert leaks(honest, "causal self", [q, k, v], "qkv") == []
    assert leaks(lambda q, k, v: honest(q, k, v) + v.mean(2, keepdim=True), "causal self", [q, k, v], "qkv") == ["v"]
    assert leaks(chooses, "causal self", [q, k, v], "qkv") == ["k"]
    assert leaks(lambda q, k, v: q + v.mean(2, keepdim=True), "causal cross", [q, k, v], "qkv") == []
    assert leaks(lambda q, k, v: q.softmax(2) + v, "causal cross", [q, k, v], "qkv") == ["q"]


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ([0.5, 0.5, 2.0], "2048"),  # halfway in logarithms between 1024 and 4096
        ([2.0, 3.0, 4.0], "<= 256"),
        ([2.0, 0.5, 0.9], "> 4096"),
        ([0.5, 2.0, 2.0], "512"),
    ],
)
def test_crossovers_by_hand(gains: list[float], said: str) -> None:
    assert crossover([256, 1024, 4096], gains) == said


def test_rows_lengths_and_notes() -> None:
    made = operators(["linear", "hilo", "retention"], kinds=["self", "causal self"], lengths=[20, 16], rounds=1)
    told = [row[:3] for row in made.table.rows]
    assert told == [
        ("linear", "self", 16), ("linear", "self", 20), ("linear", "causal self", 16), ("linear", "causal self", 20),
        ("hilo", "self", 16), ("retention", "causal self", 16), ("retention", "causal self", 20),
    ]  # fmt: skip
    assert made.notes == ("hilo, self: 20 tokens are no square",)


def test_what_takes_too_long_is_told_and_not_run() -> None:
    made = operators(["cosine"], lengths=[16, 64, 256], rounds=1, patience=1e-9)
    assert made.table.column("length") == [16]
    assert "cosine, self: 64 tokens" in made.notes[0]


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(LayoutError, match="selfish"):
        operators(["linear"], kinds=["selfish"])
    with pytest.raises(LayoutError, match="0 rounds"):
        operators(["linear"], rounds=0)
    with pytest.raises(MethodError, match="nystrom does self, cross"):
        operators(["nystrom"], kinds=["causal self"])
    with pytest.raises(MethodError, match="it changes tokens or pictures"):
        operators(["anchor"])
    with pytest.raises(MethodError, match="linear"):
        operators(["liner"])
    with pytest.raises(MethodError, match="fundamentals"):
        tensors(("q", "fundamentals"), 16, 1, 4)


def test_normalisers_are_softmax_where_they_ought_to_be() -> None:
    q, k, v = tensors(("q", "k", "v"), 24, 2, 4)
    logits = (q @ k.mT * 0.5).masked_fill(torch.ones(24, 24, dtype=torch.bool).triu(1), -torch.inf)
    grown = torch.cat([logits, torch.zeros(1, 2, 24, 1)], -1).softmax(-1)[..., :-1] @ v
    torch.testing.assert_close(call(CARDS["softmax_plus_one"], "causal self")(q, k, v), grown)
