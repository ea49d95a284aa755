from __future__ import annotations

from functools import partial

import pytest
import torch

import regard as rg
from regard.errors import LayoutError, MethodError
from regard.mechanisms import ALL
from regard.registry import find
from regard.subjects import run
from regard.subjects.bank import Draw
from regard.subjects.evidence import Evidence, cells_like, shuffled
from regard.subjects.forward import Subject
from regard.testing.planted import PlantedCNN, planted_pictures

X = planted_pictures([(2, 5)])


def evidence(**given: object) -> Evidence:
    model = PlantedCNN()
    heat = rg.explain(model, X, method="gradcam", target=1)
    return Evidence(Subject(model, X, ALL), heat, draw=Draw(5, 3), **given)  # type: ignore[arg-type]


def test_shuffles_hold_the_same_values_in_other_places() -> None:
    values = torch.arange(12.0).view(3, 4)
    made = shuffled(values, 6, seed=1)
    assert made.shape == (7, 3, 4)
    assert torch.equal(made[0], values)
    assert torch.equal(made.flatten(1).sort(1).values, torch.arange(12.0).expand(7, -1))
    assert len({tuple(m.flatten().tolist()) for m in made}) == 7
    assert torch.equal(made, shuffled(values, 6, seed=1))


def test_nothing_is_made_before_it_is_asked_for_and_all_is_counted() -> None:
    given = evidence()
    assert given.forwards == 0
    assert given.forward.count == given.forwards == 1
    assert given.bank.draw.orders == 5
    spent = given.forwards
    assert given.masks.whole == pytest.approx(float(given.scorer.value[0]))
    assert given.forwards == spent + given.scorer.count
    assert given.target == 1
    assert given.label == "class 1"


def test_again_runs_the_method_on_another_picture_and_counts() -> None:
    given = evidence(explain=partial(run.explain, find("explainers", "gradcam")))
    other = planted_pictures([(6, 1)])
    expected = rg.explain(PlantedCNN(), other, method="gradcam", target=1).values[0]
    torch.testing.assert_close(given.again(x=other), torch.from_numpy(expected))
    assert given.again.count > 0


def test_cells_are_the_maps_own_up_to_fourteen() -> None:
    x = torch.zeros(1, 3, 30, 60)
    assert cells_like(x, rg.Grid(7, 14)).grid == rg.Grid(7, 14)
    coarse = cells_like(x, rg.Grid(30, 60))
    assert coarse.grid == rg.Grid(14, 28)
    assert coarse.labels.unique().numel() == 14 * 28


def test_what_is_missing_is_told() -> None:
    with pytest.raises(LayoutError, match="asks for the region"):
        evidence().region  # noqa: B018
    with pytest.raises(LayoutError, match="with 0 pixels"):
        evidence(given_region=torch.zeros(32, 32)).region  # noqa: B018
    with pytest.raises(MethodError, match="not a method that can be run again"):
        evidence().again  # noqa: B018
    heat = rg.explain(PlantedCNN(), X, method="gradcam", target=1)
    with pytest.raises(LayoutError, match="a batch of 2 pictures"):
        Evidence(Subject(PlantedCNN(), X.repeat(2, 1, 1, 1), ALL), heat)
