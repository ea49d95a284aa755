"""circuit-reuse works: two tasks share their heads, found by path patching, and heads of the one repair the other."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .toys import Decoder, Head, on, random_heads, ranked, train

LETTERS, PAIRS, LAYERS, HEADS = 12, 5, 2, 8
LENGTH = 2 * PAIRS + 2
FOLLOWS, CAPITAL = 0, 1  # the tasks: what follows a letter; the same, asked with the capital letter
RARE = 0.03  # share of the second task in training: it stays half learnt


def drawn(count: int, generator: torch.Generator, task: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Five pairs of letters, the task's mark, a letter; the letter that follows it, and where that stands."""
    pairs = 2 + torch.rand(count, LETTERS, generator=generator).argsort(1)[:, : 2 * PAIRS]
    rare = (torch.rand(count, generator=generator) < RARE).long()
    which = rare if task is None else torch.full_like(rare, task)
    at = 2 * torch.randint(PAIRS, (count,), generator=generator)
    row = torch.arange(count)
    asked = pairs[row, at] + LETTERS * which
    return torch.cat([pairs, which[:, None], asked[:, None]], 1), pairs[row, at + 1], at + 1


@pytest.fixture(scope="module")
def copier() -> Decoder:
    model, draws = Decoder(2 + 2 * LETTERS, LENGTH, seed=3), torch.Generator().manual_seed(3)

    def loss() -> Tensor:
        words, answer, _ = drawn(48, draws)
        return F.cross_entropy(model(words)[:, -1], answer)

    train(model, loss, steps=200, rate=5e-3)
    return model


class Patching:
    """A clean run, and one whose second letters of the pairs were exchanged: its answer is another."""

    def __init__(self, model: Decoder, task: int) -> None:
        self.model = model
        self.words, self.answer, at = drawn(128, torch.Generator().manual_seed(7), task)
        second = torch.arange(1, 2 * PAIRS, 2)
        self.other = self.words.clone()
        self.other[:, second] = self.words[:, second.roll(1)]
        self.wrong = self.other.gather(1, at[:, None])[:, 0]
        with torch.no_grad():
            with rg.watch(model, keep="out") as self.clean:
                self.logits = model(self.words)[:, -1]
            with rg.watch(model, keep="out") as self.corrupted:
                self.other_logits = model(self.other)[:, -1]

    def difference(self, logits: Tensor) -> float:
        """Mean logit of the clean answer above that of the corrupted one."""
        both = logits.gather(1, torch.stack([self.answer, self.wrong], 1))
        return float((both[:, 0] - both[:, 1]).mean())

    def effects(self, sender: rg.Record) -> Tensor:
        """Path patching, [L, H]: the difference lost when one head says what it said in `sender`, all others frozen."""
        found, whole = torch.zeros(LAYERS, HEADS), self.difference(self.logits)
        frozen = rg.edits.transplant(self.clean)
        for layer in range(LAYERS):
            for head in range(HEADS):
                one = on([(layer, head)], partial(rg.edits.transplant, sender, "out"))
                with torch.no_grad(), rg.edit(self.model, frozen), rg.edit(self.model, one):
                    found[layer, head] = whole - self.difference(self.model(self.words)[:, -1])
        return found

    def circuit(self) -> set[Head]:
        """The fewest heads that hold 90 % of the effect."""
        effects = self.effects(self.corrupted).clamp_min(0)
        held, order = 0.0, ranked(effects)
        for count, head in enumerate(order, 1):
            held += float(effects[head])
            if held > 0.9 * float(effects.sum()):
                return set(order[:count])
        return set(order)


def shared(one: set[Head], other: set[Head]) -> float:
    return len(one & other) / len(one | other)


@works("circuit-reuse")
@pytest.mark.parametrize("task", [FOLLOWS, CAPITAL])
def test_patching_all_heads_restores_the_clean_logits_exactly(copier: Decoder, task: int) -> None:
    """Bit for bit, from a run that prefers the other answer; without one layer's heads they are not restored."""
    patching = Patching(copier, task)
    assert patching.difference(patching.other_logits) < 0 < patching.difference(patching.logits)
    restored = {}
    for select in ("*", "blocks.0.attn", "blocks.1.attn"):
        with torch.no_grad(), rg.edit(copier, rg.edits.transplant(patching.clean), select):
            restored[select] = torch.equal(copier(patching.other)[:, -1], patching.logits)
    assert restored == {"*": True, "blocks.0.attn": False, "blocks.1.attn": False}


@works("circuit-reuse")
def test_the_two_tasks_share_their_circuit(copier: Decoder) -> None:
    """The same three heads of 16 hold 90 % of both tasks' effect; of 1000 random pairs of such sets 1 is alike.

    The planted fault: patched from the clean run itself, no head has any effect.
    """
    patchings = [Patching(copier, task) for task in (FOLLOWS, CAPITAL)]
    circuits = [patching.circuit() for patching in patchings]
    assert max(len(circuit) for circuit in circuits) <= 5
    draws = torch.Generator().manual_seed(0)
    chance = [
        shared(*(set(random_heads(LAYERS, HEADS, len(circuit), draws)) for circuit in circuits)) for _ in range(1000)
    ]
    assert shared(*circuits) >= 0.5
    assert sum(one >= shared(*circuits) for one in chance) < 30
    for patching in patchings:
        assert not patching.effects(patching.clean).any()


@works("circuit-reuse")
def test_heads_of_the_learnt_task_repair_the_other(copier: Decoder) -> None:
    """The capital task, 3 % of training, is solved in .43 of the cases, the other in all.

    If the other task's three heads are led to the right place (their weight on it times 50) it is .85; if as many
    random heads are, .45 at most (6 draws: the control). Chance is .1.
    """
    circuit = Patching(copier, FOLLOWS).circuit()

    def right(task: int, heads: set[Head] | list[Head]) -> float:
        hits, seen = 0, 0
        words, answer, at = drawn(600, torch.Generator().manual_seed(11), task)
        for place in range(1, 2 * PAIRS, 2):
            here = at == place
            led = on(heads, lambda some, place=place: rg.edits.emphasize([place], 50.0, [LENGTH - 1], some))
            with torch.no_grad(), rg.edit(copier, led):
                hits += int((copier(words[here])[:, -1].argmax(-1) == answer[here]).sum())
            seen += int(here.sum())
        assert seen == 600
        return hits / seen

    draws = torch.Generator().manual_seed(0)
    plain, repaired = right(CAPITAL, []), right(CAPITAL, circuit)
    chance = [right(CAPITAL, random_heads(LAYERS, HEADS, len(circuit), draws, but=circuit)) for _ in range(6)]
    assert right(FOLLOWS, []) > 0.95
    assert plain < 0.7
    assert repaired > plain + 0.2
    assert repaired > max(chance) + 0.2
