from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.explainers.regional_multiscale import border_colours
from regard.subjects.cells import segment_cells

from .models import Linear, draw, explained, values


def test_is_the_mean_over_scales_of_what_each_segment_carries_over_the_drawn_colours() -> None:
    model, x = Linear((3, 16, 20)), draw(2, 3, 16, 20, seed=4)
    made = values(explained(model, x, "regional_multiscale", segments=4, scales=2, samples=3))
    colours = torch.stack(border_colours(x, 3, torch.Generator().manual_seed(0))).mean(0)
    carried = (model.weight[1] * (x - colours)).sum(1).detach()
    wanted = torch.zeros_like(carried)
    for count in (4, 8):
        labels = segment_cells(x, count).labels
        for b in range(2):
            for one in labels[b].unique():
                inside = labels[b] == one
                wanted[b, inside] += carried[b, inside].sum() / 2
    torch.testing.assert_close(made, wanted)


def test_colours_are_drawn_from_the_border_alone() -> None:
    x = draw(1, 3, 40, 40, seed=2)
    x[:, :, 1:-1, 1:-1] = 100.0
    drawn = torch.cat(border_colours(x, 4000, torch.Generator().manual_seed(1)))[:, :, 0, 0]
    rim = torch.cat([x[0, :, 0], x[0, :, -1], x[0, :, 1:-1, 0], x[0, :, 1:-1, -1]], 1)
    torch.testing.assert_close(drawn.mean(0), rim.mean(1), atol=0.06, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(rim, correction=0), atol=0.12, rtol=0)


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="0 scales"):
        explained(Linear(), draw(1, 3, 5, 7), "regional_multiscale", scales=0)
