from __future__ import annotations

import torch

from regard.explainers._clusters import by_cosine, k_means

from .models import draw


def test_k_means_finds_planted_centres() -> None:
    centres = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], dtype=torch.float64)
    points = (centres[:, None] + 0.1 * draw(3, 20, 2)).flatten(0, 1)
    found = [k_means(points, 3, torch.Generator().manual_seed(s)) for s in range(8)]
    best = min(found, key=lambda c: float(torch.cdist(points, c).amin(1).sum()))
    torch.testing.assert_close(best[best.sum(1).argsort()][0], points[:20].mean(0))
    assert all((torch.cdist(c, points).argmin(1) >= 0).all() for c in found)


def test_each_centre_is_the_mean_of_its_points() -> None:
    points = draw(40, 3)
    centres = k_means(points, 5, torch.Generator().manual_seed(0), rounds=100)
    nearest = torch.cdist(points, centres).argmin(1)
    for k in range(5):
        torch.testing.assert_close(centres[k], points[nearest == k].mean(0))


def test_more_clusters_than_points_are_the_points() -> None:
    points = draw(4, 3)
    centres = k_means(points, 9, torch.Generator().manual_seed(0))
    torch.testing.assert_close(centres[centres[:, 0].argsort()], points[points[:, 0].argsort()])


def test_complete_linkage_joins_only_what_is_near_to_all() -> None:
    angles = torch.tensor([0.0, 0.1, 0.2, 1.5, 1.6])
    points = torch.stack([angles.cos(), angles.sin()], 1) * torch.tensor([[1.0], [5.0], [2.0], [1.0], [3.0]])
    of = by_cosine(points, 0.03)
    assert of[0] == of[1] == of[2] != of[3] == of[4]
    assert len(by_cosine(points, 0.01).unique()) == 3, "0.2 rad apart is a distance of 0.02"
    assert by_cosine(points[:1], 0.1).tolist() == [0]
