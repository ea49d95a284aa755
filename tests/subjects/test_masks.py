from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError
from regard.mechanisms import ALL
from regard.subjects.evidence import cells_like
from regard.subjects.forward import Subject
from regard.subjects.masks import STREAM, MaskBank, MaskDraw, make_masks, masks_of
from regard.subjects.scorer import Scorer
from regard.testing.planted import PlantedCNN, PlantedViT, planted_pictures

X = planted_pictures([(2, 5)])
GRID = rg.Grid(5, 7)


def bank(seed: int = 0, baseline: str = "mean", model: torch.nn.Module | None = None, **draw: int) -> MaskBank:
    score = Scorer(Subject(model or PlantedCNN(), X, ALL), 1)
    return make_masks(score, cells_like(X, GRID), MaskDraw(seed=seed, baseline=baseline, **draw))  # type: ignore[arg-type]


def test_the_first_masks_are_partitions_and_the_others_have_their_sizes() -> None:
    draw = MaskDraw(rounds=3, groups=4, each=6)
    gone = (~masks_of(35, draw)).long()
    parts = gone[:12].view(3, 4, 35)
    assert torch.equal(parts.sum(1), torch.ones(3, 35, dtype=torch.long))  # every cell once a round
    assert parts.sum(2).tolist() == [[9, 9, 9, 8]] * 3
    assert gone[12:18].sum(1).tolist() == [35 - round(0.75 * 35)] * 6
    assert gone[18:24].sum(1).tolist() == [35 - round(0.25 * 35)] * 6
    assert torch.equal(gone[24::2], 1 - gone[25::2])


def test_scores_are_those_of_pictures_composed_one_by_one() -> None:
    made = bank(rounds=2, groups=3, each=4)
    model, labels = PlantedCNN(), made.cells.labels[0]
    empty = X.mean((2, 3), keepdim=True).expand_as(X)
    for keep, score in zip(made.keep, made.scores, strict=True):
        picture = torch.where(keep[labels], X, empty)
        torch.testing.assert_close(score.float(), model(picture)[0, 1].detach())
    assert made.whole == pytest.approx(float(model(X)[0, 1].detach()))
    assert made.empty == pytest.approx(float(model(empty)[0, 1].detach()), abs=1e-6)
    torch.testing.assert_close(made.group_drops[1, 2], made.drops[5])


def test_forwards_are_counted_and_seeds_decide() -> None:
    score = Scorer(Subject(PlantedCNN(), X, ALL), 1)
    make_masks(score, cells_like(X, GRID), MaskDraw(2, 3, 4))
    assert score.count == 1 + 2 * 3 + 3 * 4 + 1
    assert torch.equal(bank(1).keep, bank(1).keep)
    assert not torch.equal(bank(1).keep, bank(2).keep)


def test_an_explainer_with_the_same_seed_draws_other_masks() -> None:
    """No method is judged on the masks that fitted it: the judge's stream is another one."""
    from regard.subjects.designs import fixed

    judge = {tuple(row) for row in masks_of(35, MaskDraw(seed=0)).tolist()}
    own = fixed(200, 35, torch.Generator().manual_seed(0))
    assert not judge & {tuple(row) for row in own.tolist()}
    assert STREAM  # without it the streams start alike


def test_halves_share_no_partition_and_no_pair() -> None:
    made = bank(rounds=5, each=8)
    fit, judge = made.halves()
    assert (fit.rounds, judge.rounds) == (3, 2)
    assert len(fit.keep) + len(judge.keep) == len(made.keep)
    assert not {tuple(r) for r in fit.keep.tolist()} & {tuple(r) for r in judge.keep.tolist()}
    torch.testing.assert_close(judge.group_drops, made.group_drops[1::2])
    with pytest.raises(LayoutError, match="half 'fit' of a bank is not cut again"):
        fit.halves()


def test_a_map_that_was_fitted_flatters_itself_on_its_own_half() -> None:
    """Why banks are split: the fitted map's error is smaller on the masks that fitted it than on others."""
    made = bank(rounds=4, each=12, model=PlantedViT())
    fit, judge = made.halves()
    phi = fit.optimal().flatten()
    inside, outside = ((b.gone @ phi - b.drops).square().mean() for b in (fit, judge))
    assert inside < 0.8 * outside


def test_the_optimal_map_solves_least_squares() -> None:
    made = bank()
    slow = torch.linalg.lstsq(made.gone, made.drops[:, None], driver="gelsd").solution[:, 0]
    torch.testing.assert_close(made.optimal().flatten(), slow, rtol=1e-6, atol=1e-8)


def test_maps_of_other_grids_are_averaged_over_the_cells() -> None:
    made = bank()
    fine = torch.arange(10 * 14.0, dtype=torch.float64).view(1, 10, 14)
    slow = fine.view(1, 5, 2, 7, 2).mean((2, 4)).flatten(1)
    torch.testing.assert_close(made.laid(fine), slow)


def test_dropped_tokens_are_a_baseline_without_an_empty_picture() -> None:
    model = rg.model("random:vit_tiny_patch16_224")
    x = rg.image("sample:coffee", like=model)
    made = make_masks(Scorer(Subject(model, x, ALL), 1), cells_like(x, rg.Grid(7, 7)), MaskDraw(2, 3, 4, "drop"))
    assert made.empty != made.empty
    assert torch.isfinite(made.scores).all()


def test_what_a_bank_refuses() -> None:
    with pytest.raises(LayoutError, match="a bank of 1 rounds"):
        MaskDraw(rounds=1)
    with pytest.raises(LayoutError, match="35 cells in 40 groups"):
        bank(groups=40)
    two = Scorer(Subject(PlantedCNN(), planted_pictures([(1, 1), (2, 2)]), ALL), 1)
    with pytest.raises(LayoutError, match="a batch of 2 pictures"):
        make_masks(two, cells_like(two.on.x, GRID), MaskDraw())
    made = bank()
    made.check(X, made.whole, "red")
    with pytest.raises(LayoutError, match="another picture"):
        made.check(X + 1, made.whole, "red")
    with pytest.raises(LayoutError, match="another model or target"):
        made.check(X, made.whole + 1, "red")
