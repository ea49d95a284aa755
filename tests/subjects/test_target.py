from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from regard.errors import LayoutError, MethodError
from regard.subjects.target import Target, by_name, choose, label, logits_of

CLASSES = ("tench, Tinca tinca", "tiger cat", "Egyptian cat", "espresso")
LOGITS = torch.tensor([[0.0, 3.0, 1.0, 2.0], [5.0, 1.0, 0.0, 2.0]])


def test_no_goal_is_the_first_choice_of_each_picture() -> None:
    got = choose(None, LOGITS, CLASSES)
    assert got == Target((1, 0), "tiger cat, tench")
    assert got.pick(LOGITS).tolist() == [3.0, 5.0]


@pytest.mark.parametrize(("goal", "index"), [(3, 3), (-1, 3), ("espresso", 3), ("tinca tinca", 0), ("TIGER", 1)])
def test_goals_by_index_and_name(goal: int | str, index: int) -> None:
    assert choose(goal, LOGITS, CLASSES).index == (index, index)


def test_repeated_batches_keep_their_targets() -> None:
    assert Target((1, 0), "").pick(torch.cat([LOGITS, LOGITS])).tolist() == [3.0, 5.0, 3.0, 5.0]


def test_refusals() -> None:
    with pytest.raises(MethodError, match="no class 4: the model has 4") as caught:
        choose(4, LOGITS, CLASSES)
    assert caught.value.hint == "0 .. 3"
    with pytest.raises(MethodError, match="'cat' names 2 classes") as caught:
        by_name("cat", CLASSES)
    assert "'tiger cat' (1)" in caught.value.hint
    with pytest.raises(MethodError, match="no class named 'expresso'") as caught:
        by_name("expresso", CLASSES)
    assert "'espresso'" in caught.value.hint


def test_labels() -> None:
    assert label(0, CLASSES) == "tench"
    assert label(7, ()) == "class 7"
    assert by_name("7", ()) == 7


@pytest.mark.parametrize(
    "output", [LOGITS, SimpleNamespace(logits=LOGITS), {"logits": LOGITS}, {"out": LOGITS}, (LOGITS, None)]
)
def test_class_scores_in_whatever_models_return(output: object) -> None:
    assert torch.equal(logits_of(output), LOGITS)


@pytest.mark.parametrize(
    ("output", "told"), [(torch.zeros(1, 2, 3), r"\[1, 2, 3\]"), ({}, "NoneType"), (None, "NoneType")]
)
def test_what_is_no_class_scores(output: object, told: str) -> None:
    with pytest.raises(LayoutError, match=f"the model returns {told}"):
        logits_of(output)


@pytest.mark.parametrize("goal", [1.5, [1, 2], True])
def test_a_target_is_an_index_or_a_name(goal: object) -> None:
    with pytest.raises(MethodError, match=f"got {type(goal).__name__}"):
        choose(goal, torch.zeros(1, 3), ())


def test_whole_words_are_offered_first() -> None:
    classes = ["bullfrog, Rana catesbeiana", "oystercatcher", "tiger cat", "Persian cat", "cathedral"]
    with pytest.raises(MethodError, match="'cat' names 5 classes") as caught:
        choose("cat", torch.zeros(1, 5), classes)
    assert caught.value.hint.startswith("one of 'tiger cat' (2), 'Persian cat' (3), 'bullfrog")
