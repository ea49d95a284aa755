from __future__ import annotations

from functools import partial

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .regions import MODEL, SPOT, X, as_map, random_map, region


@pytest.mark.parametrize("share", [None, 0.1, 0.4])
def test_it_is_the_overlap_of_pixels(share: float | None) -> None:
    values, inside = random_map(1), region(reach=1)
    count = max(1, round((float(inside.double().mean()) if share is None else share) * 64))
    top = torch.zeros(64, dtype=torch.bool)
    top[values.flatten().argsort(descending=True)[:count]] = True
    full = top.view(8, 8).repeat_interleave(4, 0).repeat_interleave(4, 1)
    slow = float((full & inside).sum() / (full | inside).sum())
    metric = partial(rg.metrics.iou_at_share, share=share)
    assert rg.score(as_map(values), MODEL, X, metric=metric, region=inside).value == pytest.approx(slow)


def test_own_mask_reaches_one_and_bad_shares_are_refused() -> None:
    own = torch.zeros(8, 8, dtype=torch.float64)
    own[SPOT] = 1
    assert rg.score(as_map(own), MODEL, X, metric="iou_at_share", region=region()).value == 1
    metric = partial(rg.metrics.iou_at_share, share=1.0)
    with pytest.raises(LayoutError, match=r"highest 1\.0 of the cells"):
        rg.score(as_map(own), MODEL, X, metric=metric, region=region())
