from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from regard.explainers import _context
from regard.explainers._context import context_aware, distinct

from .models import draw


def test_is_the_mean_over_the_most_similar_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair of patches, one by one."""
    monkeypatch.setattr(_context, "NEAREST", 5)
    values = draw(6, 9, seed=3).sigmoid()
    padded = F.pad(values[None], (3, 3, 3, 3), mode="replicate")[0]
    places = [(r, c) for r in range(6) for c in range(9)]
    along = torch.exp(-0.5 * (torch.arange(-3, 4).double() / 1.75) ** 2)
    window = along[:, None] * along / along.sum() ** 2
    apart = {}
    for a in places:
        for b in places:
            one, two = (padded[r : r + 7, c : c + 7] for r, c in (a, b))
            apart[a, b] = float((window * (one - two).square()).sum().sqrt())
    most = max(apart.values())
    found = torch.zeros(6, 9, dtype=torch.float64)
    for a in places:
        unlike = sorted(apart[a, b] / most / (1 + 3 * math.dist(a, b) / 9) for b in places if b != a)[:5]
        found[a] = 1 - math.exp(-sum(unlike) / 5)
    wanted = (found - found.min()) / (found.max() - found.min())
    torch.testing.assert_close(distinct(values, 1.0), wanted)


def test_a_constant_map_has_nothing_and_one_blob_has_the_focus() -> None:
    assert not context_aware(torch.full((12, 12), 0.3)).any()
    blob = torch.zeros(20, 24, dtype=torch.float64)
    blob[4:8, 15:19] = 1.0
    found = context_aware(blob)
    row, column = divmod(int(found.argmax()), 24)
    assert 3 <= row <= 8
    assert 14 <= column <= 19
    assert found[:, :8].max() < 0.2 * found.max()
    far = torch.stack([distinct(blob, s) for s in _context.SCALES]).mean(0)
    assert found[19, 0] <= far[19, 0]
