from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from regard.errors import LayoutError, MethodError
from regard.subjects.target import Target, by_name, choose, label, logits_of

from ..told import refused

CLASSES = ("tench, Tinca tinca", "tiger cat", "Egyptian cat", "espresso")
LOGITS = torch.tensor([[0.0, 3.0, 1.0, 2.0], [5.0, 1.0, 0.0, 2.0]])


def test_no_goal_is_the_first_choice_of_each_picture() -> None:
    got = choose(None, LOGITS, CLASSES)
    assert got == Target((1, 0), "tiger cat, tench")
    assert got.pick(LOGITS).tolist() == [3.0, 5.0]


@pytest.mark.parametrize(("goal", "index"), [(3, 3), ("3", 3), ("espresso", 3), ("tinca tinca", 0), ("TIGER", 1)])
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


def test_a_contrast_is_a_difference_of_logits() -> None:
    got = choose("tiger cat vs espresso", LOGITS, CLASSES)
    assert (got.index, got.label) == ((), "tiger cat vs espresso")
    assert got.of(LOGITS).tolist() == [1.0, -1.0]
    assert choose("1 vs. 3", LOGITS, ()).of({"logits": LOGITS}).tolist() == [1.0, -1.0]
    sides = choose("tiger cat or egyptian cat vs tench", LOGITS, CLASSES).of(LOGITS)
    torch.testing.assert_close(sides, LOGITS[:, 1:3].exp().sum(1).log() - LOGITS[:, 0])


def test_a_group_is_log_sum_exp() -> None:
    for goal in (("tiger cat", 3), "tiger cat or espresso", ("1", 3)):
        got = choose(goal, LOGITS, CLASSES)
        torch.testing.assert_close(got.of(LOGITS), LOGITS[:, [1, 3]].exp().sum(1).log())
        assert got.label == "tiger cat or espresso"
    assert choose(("espresso",), LOGITS, CLASSES) == Target((3, 3), "espresso")


def test_a_class_whose_name_reads_like_a_contrast_is_a_class() -> None:
    assert choose("Kramer vs Kramer", LOGITS[:, :2], ("Kramer vs Kramer", "other")).index == (0, 0)


@dataclasses.dataclass
class Found:
    """What a detector might return."""

    boxes: torch.Tensor
    scores: torch.Tensor


@pytest.mark.parametrize(
    ("output", "selector"),
    [
        ({"heads": {"age": LOGITS}}, lambda o: o["heads"]["age"][:, 1]),
        ((None, LOGITS), lambda o: o[1][:, 1]),
        (Found(LOGITS[:, :4], LOGITS), lambda o: o.scores[:, 1]),
        ([{"boxes": LOGITS, "scores": row} for row in LOGITS], lambda o: torch.stack([one["scores"][1] for one in o])),
    ],
)
def test_a_function_selects_from_any_output(output: Any, selector: Any) -> None:
    got = choose(selector, output, ())
    assert got.of(output).tolist() == [3.0, 1.0]
    assert got.label == "function of the output"


@pytest.mark.parametrize("output", [LOGITS, SimpleNamespace(image_embeds=LOGITS), {"pooler_output": LOGITS}])
def test_an_embedding_is_matched_by_its_cosine(output: object) -> None:
    wanted = torch.tensor([1.0, 0.0, 2.0, -1.0])
    got = choose(wanted, output, ())
    slow = [float(row @ wanted / row.norm() / wanted.norm()) for row in LOGITS]
    assert got.of(output).tolist() == pytest.approx(slow)
    each = choose(LOGITS.flip(0), output, ())
    doubled = torch.cat([LOGITS, LOGITS])
    assert each.of(doubled).tolist() == pytest.approx([float(torch.cosine_similarity(*LOGITS, dim=0))] * 4)


def test_goals_that_are_none() -> None:
    with pytest.raises(MethodError, match=r"an embedding \[3\] to match, and the model's are \[2, 4\]"):
        choose(torch.zeros(3), LOGITS, ())
    with pytest.raises(MethodError, match="a group of no classes"):
        choose((), LOGITS, ())
    with pytest.raises(MethodError, match="contrasts 3 things"):
        choose("0 vs 1 vs 2", LOGITS, ())
    with pytest.raises(LayoutError, match=r"function of the output gives \[2, 4\], not one number"):
        choose(lambda o: o, LOGITS, ()).of(LOGITS)
    with pytest.raises(MethodError, match="'0 vs 1' is no single class") as caught:
        Target((), "0 vs 1", lambda o: o).pick(LOGITS)
    assert "target=INDEX" in caught.value.hint


@pytest.mark.parametrize("goal", [1.5, [1, 2], True])
def test_a_target_is_an_index_or_a_name(goal: object) -> None:
    with pytest.raises(MethodError, match=f"got {type(goal).__name__}"):
        choose(goal, torch.zeros(1, 3), ())


def test_whole_words_are_offered_first() -> None:
    classes = ["bullfrog, Rana catesbeiana", "oystercatcher", "tiger cat", "Persian cat", "cathedral"]
    with pytest.raises(MethodError, match="'cat' names 5 classes") as caught:
        choose("cat", torch.zeros(1, 5), classes)
    assert caught.value.hint.startswith("one of 'tiger cat' (2), 'Persian cat' (3), 'bullfrog")


@pytest.mark.parametrize("goal", [-1, (1, -1), "-1", "1 vs -1", -4])
def test_a_class_is_not_counted_from_the_end(goal: Any) -> None:
    with refused(MethodError, f"no class {-4 if goal == -4 else -1}: the model has 4", r"0 .. 3"):
        choose(goal, LOGITS, CLASSES)


def test_a_number_in_text_is_an_index_unless_a_class_is_called_so() -> None:
    assert choose("2", LOGITS, CLASSES).index == (2, 2)
    assert choose("0", LOGITS, ("3", "2", "1", "0")).index == (3, 3)
    assert choose("1 vs 3", LOGITS, CLASSES).of(LOGITS).tolist() == [1.0, -1.0]


@pytest.mark.parametrize("goal", ["", "  ", ("tench", "")])
def test_an_empty_text_is_told(goal: Any) -> None:
    with refused(MethodError, "the target is an empty text", "an index or name"):
        choose(goal, LOGITS, CLASSES)


@pytest.mark.parametrize(
    "goal", [" vs ", "vs", "tench vs", "vs tench", "tench vs. ", "tench or", "or tench", "0 vs 1 or"]
)
def test_half_a_target_is_told(goal: str) -> None:
    with refused(MethodError, f"'{goal}' is half a target: a name is missing", "'husky vs wolf'"):
        choose(goal, LOGITS, CLASSES)
