from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.explainers._context import context_aware

from .models import Net, draw, explained, values


def test_is_what_stands_out_of_the_positive_relevance() -> None:
    model, x = Net(bias=True, norm=True), draw(2, 3, 20, 24)
    made = explained(model, x, "salient_relevance", side=10)
    assert made.grid.h == 10
    assert made.grid.w == 12
    raw = values(explained(model, x, "lrp", rule="epsilon")).clamp_min(0)
    for got, one in zip(values(made), F.avg_pool2d(raw, 2), strict=True):
        torch.testing.assert_close(got, context_aware(one))


def test_refusals() -> None:
    for side in (7, 21):
        with pytest.raises(LayoutError, match=f"{side} cells"):
            explained(Net(bias=False), draw(1, 3, 20, 24), "salient_relevance", side=side)
