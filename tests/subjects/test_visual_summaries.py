from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

from regard.errors import DegenerateError, LayoutError
from regard.subjects.visual_summaries import _alike, affinity_propagation, visual_summaries

from ..explainers.models import draw


def points(n: int, k: int, seed: int) -> torch.Tensor:
    """Similarities of points around k centres."""
    centres = 8 * draw(k, 2, seed=seed)
    at = centres[torch.arange(n) % k] + draw(n, 2, seed=seed + 1)
    return -torch.cdist(at, at).square()


@pytest.mark.parametrize(("n", "k", "seed"), [(12, 2, 0), (12, 3, 5), (9, 3, 9)])
def test_affinity_propagation_finds_the_best_examples_of_all(n: int, k: int, seed: int) -> None:
    """The sum of similarities to examples, preferences counted, over all sets of at most four."""
    s = points(n, k, seed)
    preference = -20.0
    filled = s.clone()
    filled.diagonal().zero_()
    value = {
        some: float(filled[:, list(some)].amax(1).sum()) + len(some) * preference
        for size in range(1, 5)
        for some in itertools.combinations(range(n), size)
    }
    example, chosen = affinity_propagation(s, preference)
    assert tuple(sorted(example.tolist())) == max(value, key=lambda some: value[some])
    assert chosen.tolist() == filled[:, example].argmax(1).tolist()


@pytest.mark.peers
def test_affinity_propagation_agrees_with_scikit_learns() -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    for n, k, seed in ((30, 3, 0), (24, 2, 3), (40, 4, 7)):
        s = points(n, k, seed)
        theirs = cluster.AffinityPropagation(
            damping=0.7, affinity="precomputed", random_state=0, preference=float(s.min())
        ).fit(s.numpy())
        assert sorted(affinity_propagation(s)[0].tolist()) == sorted(theirs.cluster_centers_indices_.tolist())


def test_likeness_is_the_double_loop_over_cells() -> None:
    one, other = (F.normalize(draw(m, 5, seed=m), dim=1) for m in (4, 6))
    places = tuple(2 * torch.rand(m, 2, generator=torch.Generator().manual_seed(m)).double() - 1 for m in (4, 6))
    votes: dict[tuple[int, int], float] = {}
    bins = {}
    for i, j in itertools.product(range(4), range(6)):
        at = tuple(min(2, max(0, int((float(places[0][i, d] - places[1][j, d]) + 2) / 4 * 3))) for d in (0, 1))
        bins[i, j] = at
        votes[at] = votes.get(at, 0.0) + max(0.0, float(one[i] @ other[j]))
    agreed = torch.tensor(
        [[float(one[i] @ other[j]) * votes[bins[i, j]] / max(votes.values()) for j in range(6)] for i in range(4)]
    )
    wanted = (agreed.max(1).values.mean() + agreed.max(0).values.mean()) / 2
    assert _alike((one, places[0]), (other, places[1]), 3) == pytest.approx(float(wanted))


def test_regions_are_connected_cells_over_the_level() -> None:
    heat = torch.zeros(2, 5, 6)
    heat[0, 0, 0], heat[0, 1, 1] = 1.0, 0.8  # touch at a corner: one region
    heat[0, 4, 2:6] = 0.6
    heat[0, 2, 5] = 0.9  # one cell alone: too small
    heat[1] = -1.0  # nothing speaks for the class
    made = visual_summaries(heat, draw(2, 3, 5, 6))
    assert [sorted(map(tuple, one.nonzero().tolist())) for one in made.masks] == [
        [(0, 0), (1, 1)],
        [(4, 2), (4, 3), (4, 4), (4, 5)],
    ]
    assert made.pictures.tolist() == [0, 0]
    assert made.similarity.diagonal().tolist() == [1, 1]


def test_refusals() -> None:
    with pytest.raises(LayoutError, match=r"maps \[2, 5, 6\], features \[2, 3, 5, 5\]"):
        visual_summaries(torch.ones(2, 5, 6), torch.ones(2, 3, 5, 5))
    with pytest.raises(LayoutError, match="0 bins"):
        visual_summaries(torch.ones(2, 5, 6), torch.ones(2, 3, 5, 6), bins=0)
    with pytest.raises(DegenerateError, match="no map has 2 cells together"):
        visual_summaries(-torch.ones(2, 5, 6), torch.ones(2, 3, 5, 6))
