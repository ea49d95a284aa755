from __future__ import annotations

import torch

from regard.explainers._regions import felzenszwalb_regions, grow, widened

from .models import draw


def slow(attribution: torch.Tensor, regions: torch.Tensor, least: int) -> tuple[torch.Tensor, list[int]]:
    """Every gain anew in each step."""
    made = torch.full_like(attribution, float("nan"))
    covered, order = torch.zeros(attribution.shape, dtype=torch.bool), []
    while True:
        gains = {i: attribution[r & ~covered].mean() for i, r in enumerate(regions) if (r & ~covered).sum() >= least}
        if not gains:
            break
        best = max(gains, key=lambda i: float(gains[i]))
        made[regions[best] & ~covered] = gains[best]
        covered |= regions[best]
        order.append(best)
    if bool((~covered).any()):
        made[~covered] = attribution[~covered].mean()
    return made, order


def overlapping(n: int = 25) -> torch.Tensor:
    return widened(draw(n, 23, 31, seed=3) > 2.3, 2)


def test_growing_equals_the_slow_form() -> None:
    attribution = draw(23, 31, seed=1)
    for least in (1, 12):
        made, order = grow(attribution, overlapping(), least)
        wanted, order_wanted = slow(attribution, overlapping(), least)
        assert order == order_wanted
        assert len(order) > 3
        torch.testing.assert_close(made, wanted)
    torch.testing.assert_close(made.sum(), attribution.sum())


def test_disjoint_regions_come_in_the_order_of_their_means() -> None:
    attribution = draw(12, 10)
    regions = torch.zeros(5, 12, 10, dtype=torch.bool)
    for i in range(5):
        regions[i, :, 2 * i : 2 * i + 2] = True
    _, order = grow(attribution, regions, 1)
    assert order == [int(i) for i in torch.stack([attribution[r].mean() for r in regions]).argsort(descending=True)]


def test_regions_cover_the_picture_and_keep_to_its_edges() -> None:
    picture = torch.zeros(3, 40, 60)
    picture[:, :, 30:] = 1.0
    regions = felzenszwalb_regions(picture)
    assert bool(regions.any(0).all())
    assert any(bool(r[:, 33:].all()) and not r[:, :26].any() for r in regions)
    dot = torch.zeros(1, 9, 9, dtype=torch.bool)
    dot[0, 4, 4] = True
    assert int(widened(dot, 2).sum()) == 13
