"""cab works: operators declare their kinds, causal ones use no future, and crossover lengths are measured."""

from __future__ import annotations

import pytest

from regard.bench.operators import call, leaks, operators, tensors
from regard.registry import KINDS, cards
from regard.testing.marks import works


@works("cab")
@pytest.mark.slow
def test_kinds_are_declared_the_future_is_unused_and_crossovers_are_measured() -> None:
    """All operators that declare a causal kind pass the test of no gradient from the future, on fresh operands.

    On a CPU of one thread, plain attention costs N^2 and linear attention N: at 1,024 tokens it is faster, and its
    crossover is a number or lies below the first length. Attention with all its scores (entmax's bisection) has none.
    """
    declared = {name: card for name, card in cards("operators").items() if card.kinds}
    assert len(declared) >= 39
    assert {kind for card in declared.values() for kind in card.kinds} == set(KINDS)
    causal = [(card, kind) for card in declared.values() for kind in card.kinds if kind.startswith("causal")]
    assert len(causal) >= 30
    for card, kind in causal:
        operands = tensors(card.subjects, 50, 3, 6)
        assert leaks(call(card, kind), kind, operands, card.subjects) == [], (card.name, kind)
    assert leaks(call(declared["linear"], "self"), "causal self", tensors("qkv", 50, 3, 6), "qkv") == ["k", "v"]

    made = operators(["linear", "entmax"], kinds=["self"], lengths=[16, 256, 1024], rounds=3)
    gains = {(row[0], row[2]): row[6] for row in made.table.rows}
    meet = {row[0]: row[7] for row in made.table.rows}
    assert gains["linear", 1024] > gains["linear", 16]
    assert gains["linear", 1024] > 2
    assert meet["linear"] == "<= 16" or 16 < float(meet["linear"]) < 1024
    assert meet["entmax"].startswith("> ")
