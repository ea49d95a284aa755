from __future__ import annotations

import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from torch.nn import functional as F

from regard.errors import LayoutError, MethodError
from regard.layout import Grid
from regard.subjects.bank import Draw, baseline_picture, compose, make_bank, removal_scores

GRID = Grid(2, 3)


def picture(b: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.rand(b, 3, 8, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def brightness(x: torch.Tensor) -> torch.Tensor:
    return x.mean((1, 2, 3))


def test_compose_replaces_whole_cells() -> None:
    x, other = picture(), picture(seed=1)
    gone = torch.tensor([[True, False, False, False, False, True], [False] * 6])
    got = compose(x, other, gone, GRID)
    slow = torch.cat([x, x])
    slow[0, :, :4, :4] = other[0, :, :4, :4]
    slow[0, :, 4:, 8:] = other[0, :, 4:, 8:]
    assert torch.equal(got, slow)


def test_cells_that_do_not_divide_the_picture_still_cover_it_once() -> None:
    x = torch.zeros(1, 3, 7, 10)
    covers = sum(compose(x, torch.ones_like(x), row[None], GRID) for row in torch.eye(6).bool())
    assert torch.equal(covers, torch.ones_like(x))


def test_scores_are_the_stages_of_each_order() -> None:
    x, replaced = picture(), picture(seed=1)
    orders = torch.tensor([[3, 1, 0, 5, 2, 4], [0, 1, 2, 3, 4, 5]])
    removed = torch.tensor([0, 2, 5, 6])
    got = removal_scores(brightness, x, replaced, GRID, orders, removed)
    for i, order in enumerate(orders):
        for s, count in enumerate(removed):
            gone = torch.zeros(1, 6, dtype=torch.bool)
            gone[0, order[:count]] = True
            torch.testing.assert_close(got[i, s], brightness(compose(x, replaced, gone, GRID))[0])


def test_forwards_are_counted_once_for_the_ends() -> None:
    seen: list[int] = []

    def forward(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return brightness(x)

    make_bank(forward, picture(), GRID, Draw(7, 6, "mean"))
    assert sum(seen) == 2 + 7 * 5


def test_few_cells_bound_the_steps_and_the_bank_is_seeded() -> None:
    def bank(seed: int) -> torch.Tensor:
        made = make_bank(brightness, picture(), GRID, Draw(4, 50, "mean", seed))
        assert made.removed.tolist() == [0, 1, 2, 3, 4, 5, 6]
        torch.testing.assert_close(made.share_removed[3], torch.tensor(0.5, dtype=torch.float64))
        return made.scores

    assert torch.equal(bank(1), bank(1))
    assert not torch.equal(bank(1), bank(2))


def test_no_orders_is_an_empty_null() -> None:
    made = make_bank(brightness, picture(), GRID, Draw(0, 3, "mean"))
    assert made.whole == pytest.approx(float(brightness(picture())[0]))
    assert made.scores.shape == (0, 4)
    assert made.curve(brightness, torch.arange(6)).shape == (4,)


def test_the_mean_baseline_is_the_mean_colour() -> None:
    x = picture()
    assert torch.equal(baseline_picture(x, "mean"), x.mean((2, 3), keepdim=True).expand_as(x))


def test_the_blurred_baseline_equals_scipys_gaussian() -> None:
    x = picture()
    sigma = 12 / 20
    slow = gaussian_filter1d(x.numpy(), sigma, axis=-1, mode="nearest", radius=round(3 * sigma))
    slow = gaussian_filter1d(slow, sigma, axis=-2, mode="nearest", radius=round(3 * sigma))
    torch.testing.assert_close(baseline_picture(x, "blur"), torch.from_numpy(slow))


@pytest.mark.parametrize("baseline", ["mean", "blur"])
def test_a_constant_picture_stays_itself(baseline: str) -> None:
    x = torch.full((1, 3, 8, 12), 0.3)
    torch.testing.assert_close(baseline_picture(x, baseline), x)  # type: ignore[arg-type]


def test_the_reversed_order_is_the_same_curve_backwards() -> None:
    x, replaced = picture(), picture(seed=1)
    order = torch.tensor([[3, 1, 0, 5, 2, 4]])
    removed = torch.arange(7)
    forwards = removal_scores(brightness, x, replaced, GRID, order, removed)
    swapped = removal_scores(brightness, replaced, x, GRID, order.flip(1), removed)
    torch.testing.assert_close(forwards, swapped.flip(1))
    assert F.l1_loss(forwards, forwards.flip(1)) > 0


@pytest.mark.parametrize(
    ("given", "told"),
    [({"steps": 0}, "a curve of 0 steps"), ({"orders": -1}, "-1 random maps"), ({"baseline": "blurr"}, "'blurr'")],
)
def test_a_draw_that_makes_no_sense_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises((LayoutError, MethodError), match=told) as caught:
        Draw(**given)  # type: ignore[arg-type]
    assert caught.value.hint


def test_a_bank_knows_its_picture_and_target() -> None:
    made = make_bank(brightness, picture(), GRID, Draw(2, 3, "mean"))
    made.check(picture(), made.whole, "brightness")
    with pytest.raises(LayoutError, match="another picture"):
        made.check(picture(seed=1), made.whole, "brightness")
    with pytest.raises(LayoutError, match="another model or target"):
        made.check(picture(), made.whole * 1.1, "brightness")


def test_black_and_white_are_those_of_the_model_and_noise_is_drawn_from_the_seed() -> None:
    span = ((-2.0, -1.0, 0.0), (2.0, 3.0, 4.0))
    for name, level in (("black", span[0]), ("white", span[1])):
        made = make_bank(brightness, picture(), GRID, Draw(2, 3, name), span=span)
        torch.testing.assert_close(made.replaced, torch.tensor(level).view(1, 3, 1, 1).expand_as(picture()).to(made.x))
        slow = removal_scores(brightness, picture(), made.replaced, GRID, torch.arange(6)[None], made.removed)
        torch.testing.assert_close(made.curve(brightness, torch.arange(6)), slow[0])
    a, b, c = (make_bank(brightness, picture(), GRID, Draw(2, 3, "uniform", seed), span=span) for seed in (0, 0, 1))
    assert torch.equal(a.replaced, b.replaced)
    assert not torch.equal(a.replaced, c.replaced)
    orders = [make_bank(brightness, picture(), GRID, Draw(2, 3, name, 0)).scores for name in ("mean", "mean")]
    assert torch.equal(*orders)
