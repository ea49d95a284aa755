"""The verbs of scores, by value: curves and nulls by hand, shared banks, and what is refused."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import (
    DegenerateError,
    LayoutError,
    MethodError,
)
from regard.testing.planted import PlantedCNN, planted_pictures

from .told import refused

X = planted_pictures([(2, 5)])


def test_a_bank_of_the_wrong_kind_is_refused_with_the_right_verb() -> None:
    model = PlantedCNN()
    heat = rg.explain(model, X, method="gradcam", target=1)
    orders, masks = rg.bank(model, X, heat, orders=2), rg.masks(model, X, heat, rounds=2, each=4)
    with pytest.raises(MethodError, match="deletion does not read a MaskBank") as caught:
        rg.score(heat, model, X, metric="deletion", bank=masks)
    assert "regard.bank" in caught.value.hint
    with pytest.raises(MethodError, match="saco does not read a OrderBank") as caught:
        rg.score(heat, model, X, metric="saco", bank=orders)
    assert "regard.masks" in caught.value.hint
    with pytest.raises(LayoutError, match="a map is scored, got str"):
        rg.masks(model, X, "map")  # type: ignore[arg-type]


def test_a_shared_bank_costs_no_forward_but_sacos_own_groups() -> None:
    model = PlantedCNN()
    heat = rg.explain(model, X, method="gradcam", target=1)
    masks = rg.masks(model, X, heat)
    for name, forwards in (("infidelity", 1), ("mu_fidelity", 1), ("sensitivity_n", 1), ("saco", 11)):
        assert rg.score(heat, model, X, metric=name, bank=masks).forwards == forwards, name
    alone = rg.score(heat, model, X, metric="saco")
    np.testing.assert_allclose(alone.value, rg.score(heat, model, X, metric="saco", bank=masks).value)


@pytest.mark.slow
def test_maps_are_held_against_people(tmp_path: Path) -> None:
    """People look at the left of every photo: the control maps get their rows beside the method's, saved with it."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    names = [f"{i}.png" for i in range(3)]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(tmp_path / name)
    xy = rng.normal([25, 30], 4, (60, 2))
    eyes = rg.gaze.Fixations(xy, image=np.repeat(names, 20), observer=list("abcde") * 12, size=(60, 80), per_degree=4.0)
    model = rg.model("random:test_vit")
    told = rg.compare(
        model, tmp_path, methods=["gradient"], metrics=["deletion"], baselines=["mean"], orders=1, gaze=eyes
    )
    assert told.people is not None
    assert {"gradient", "random", "centre", "people", "centre prior"} <= set(told.people.column("map"))
    assert told.people.column("n") == [3] * len(told.people.rows)
    told.save(tmp_path / "out")
    assert (tmp_path / "out" / "people.csv").read_text().startswith("metric,map,n,mean")
    with pytest.raises(rg.errors.LayoutError, match="photos by name"):
        rg.compare(model, rg.image("sample:coffee", like=model), methods=["gradient"], gaze=eyes)


@pytest.fixture(scope="module")
def heat(cnn: nn.Module, part: Tensor) -> rg.Map:
    return rg.explain(cnn, part, method="gradcam", target=7)


@pytest.mark.parametrize(("metric", "sign", "direction"), [("deletion", -1, "lower"), ("insertion", 1, "higher")])
def test_score_by_hand(metric: str, sign: int, direction: str, cnn: nn.Module, part: Tensor, heat: rg.Map) -> None:
    s = rg.score(heat, cnn, part, metric=metric, target=7, orders=19, steps=6, seed=3)
    assert (s.metric, s.direction, s.n, s.seed) == (metric, direction, 19, 3)
    assert s.null is not None
    assert s.null.shape == (19,)
    k = int((sign * s.null >= sign * s.value).sum())
    assert s.p == (1 + k) / (1 + 19)
    assert s.interval == pytest.approx(tuple(np.quantile(s.null, [0.025, 0.975])), rel=1e-6)
    assert s.curve is not None
    assert s.null_curves is not None
    assert s.value == pytest.approx(np.trapezoid(s.curve[1], s.curve[0]), rel=1e-5)
    assert np.allclose(s.null, np.trapezoid(s.null_curves, s.curve[0], axis=1), rtol=1e-5)
    with torch.no_grad():
        whole = float(cnn(part).softmax(1)[0, 7])
    assert s.curve[1][0 if metric == "deletion" else -1] == pytest.approx(whole, rel=1e-3)
    assert s.curve[0][[0, -1]].tolist() == [0.0, 1.0]
    assert s.convention == "9 cells, 6 steps, blur baseline, probability"
    ends, inner = 2, 5  # each of 19 + 1 orders shares the ends and has 5 stages between
    assert s.forwards == 1 + (ends + 19 * inner) + (ends + inner)


def test_p_counts_ties_against_the_map(cnn: nn.Module, part: Tensor, heat: rg.Map) -> None:
    """A constant network scores every order alike: nothing is better than chance."""
    flat: Any = copy.deepcopy(cnn)
    with torch.no_grad():
        flat.fc.weight.zero_()
        flat.fc.bias.zero_()
    for metric in ("deletion", "insertion"):
        s = rg.score(heat, flat, part, metric=metric, target=7, orders=4, steps=2)
        assert s.p == 1.0
        assert s.value == pytest.approx(1 / 1000)


def test_the_null_is_the_area_under_the_random_orders(cnn: nn.Module, part: Tensor, heat: rg.Map) -> None:
    bank = rg.bank(cnn, part, heat, target=7, orders=5, steps=3)
    s = rg.score(heat, cnn, part, target=7, bank=bank)
    area = np.trapezoid(bank.scores.numpy(), bank.share_removed.numpy(), axis=1)
    assert np.allclose(s.null, area, rtol=1e-5)  # type: ignore[arg-type]


def test_a_shared_bank_is_the_same_null(cnn: nn.Module, part: Tensor, heat: rg.Map) -> None:
    bank = rg.bank(cnn, part, heat, target=7, orders=6, steps=4, seed=2)
    again = rg.bank(cnn, part, heat, target=7, orders=6, steps=4, seed=2)
    other = rg.bank(cnn, part, heat, target=7, orders=6, steps=4, seed=3)
    assert torch.equal(bank.scores, again.scores)
    assert not torch.equal(bank.scores, other.scores)
    assert bank.grid == heat.grid
    alone = rg.score(heat, cnn, part, target=7, orders=6, steps=4, seed=2)
    shared = rg.score(heat, cnn, part, target=7, bank=bank)
    assert np.array_equal(alone.null, shared.null)  # type: ignore[arg-type]
    assert (alone.value, alone.p) == (shared.value, shared.p)
    assert shared.n == 6
    assert alone.seed == shared.seed == 2
    assert shared.forwards == 1 + 2 + 3
    inserted = rg.score(heat, cnn, part, metric="insertion", target=7, bank=bank)
    assert np.array_equal(inserted.null_curves, shared.null_curves[:, ::-1])  # type: ignore[index,arg-type]


def test_a_bank_made_for_something_else_is_refused(cnn: nn.Module, part: Tensor, heat: rg.Map) -> None:
    bank = rg.bank(cnn, part, heat, target=7, orders=2, steps=2)
    with refused(LayoutError, "the bank was made for another picture", "regard.bank"):
        rg.score(heat, cnn, part.flip(-1), target=7, bank=bank)
    with refused(LayoutError, r"another model or target: .* here \(class 8\)", "target="):
        rg.score(heat, cnn, part, target=8, bank=bank)
    with refused(LayoutError, "another model or target", "model and target"):
        rg.score(heat, rg.model("random:resnet18", seed=1), part, target=7, bank=bank)
    coarse = rg.Map(heat.values[:, :2, :2], rg.Grid(2, 2), "m")
    with refused(LayoutError, "on grid 2x2 scored on grid 3x3", "on the map's own grid"):
        rg.score(coarse, cnn, part, target=7, bank=bank)


def test_score_and_bank_refuse(cnn: nn.Module, part: Tensor, heat: rg.Map) -> None:
    with refused(MethodError, "no metric named 'delection'", "'deletion'"):
        rg.score(heat, cnn, part, metric="delection")
    for verb in (functools.partial(rg.score, heat, cnn, part), functools.partial(rg.bank, cnn, part, heat)):
        with refused(MethodError, "no baseline named 'grey'", "one of black, white, mean, blur, uniform"):
            verb(baseline="grey")  # type: ignore[operator]
        with refused(LayoutError, "a curve of 0 steps held against 99 random maps", "steps=16"):
            verb(steps=0)  # type: ignore[operator]
        with refused(LayoutError, "held against -1 random maps", "orders=99"):
            verb(orders=-1)  # type: ignore[operator]
    two = torch.cat([part, part])
    with refused(LayoutError, "a batch of 2 pictures", "one picture at a time"):
        rg.score(rg.explain(cnn, two, method="gradcam"), cnn, two, orders=1, steps=2)


def test_score_of_a_model_without_class_scores_is_refused() -> None:
    class Patches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    heat = rg.Map(np.arange(4.0).reshape(1, 2, 2), rg.Grid(2, 2), "m")
    with refused(LayoutError, r"the model returns \[1, 3, 8, 8\], not class scores", "wrap it"):
        rg.score(heat, Patches(), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    "metric", ["mu_fidelity", "infidelity", "sensitivity_n", "deletion", "insertion", "srg", "saco", "pointing_game"]
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_map_with_nan_is_never_scored(metric: str, bad: float) -> None:
    """Every comparison with NaN is false: no random map would be as good, and p the least there is."""
    values = np.arange(64.0).reshape(1, 8, 8)
    values[0, 2, 3] = bad
    with refused(DegenerateError, "the map has NaN or infinite values: 1 of 64", "then score it"):
        rg.score(rg.Map(values, rg.Grid(8, 8), "mine"), PlantedCNN(), X, metric=metric, region=X[0, 0] > 1)


def test_a_bank_like_a_map_with_nan_is_refused() -> None:
    broken = rg.Map(np.full((1, 8, 8), np.nan), rg.Grid(8, 8), "mine")
    for verb in (rg.bank, rg.masks):
        with refused(DegenerateError, "the map has NaN or infinite values: 64 of 64", "then score it"):
            verb(PlantedCNN(), X, broken)


RANKING = ("deletion", "insertion", "srg", "road", "rfxg", "pointing_game", "iou_at_share")


@pytest.mark.parametrize("metric", RANKING)
def test_a_constant_map_is_refused_by_what_ranks(metric: str) -> None:
    """It would be scored in reading order."""
    flat = rg.Map(np.zeros((1, 8, 8)), rg.Grid(8, 8), "mine")
    with refused(DegenerateError, "all values are 0: the map ranks nothing", "a map with a highest place"):
        rg.score(flat, PlantedCNN(), X, metric=metric, orders=3, steps=2, region=X[0, 0] > 1)


@pytest.mark.parametrize("metric", ["infidelity", "mu_fidelity", "sensitivity_n", "saco", "energy_in_mask"])
def test_a_constant_map_beats_nothing_where_it_has_a_value(metric: str) -> None:
    flat = rg.Map(np.zeros((1, 8, 8)), rg.Grid(8, 8), "mine")
    assert rg.score(flat, PlantedCNN(), X, metric=metric, orders=9, region=X[0, 0] > 1).p == 1.0
