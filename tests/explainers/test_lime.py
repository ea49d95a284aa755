from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from regard.errors import LayoutError
from regard.explainers.lime import _ridge
from regard.subjects.cells import segment_cells

from .models import Linear, draw, explained, values


def coloured() -> torch.Tensor:
    """Four squares of their own colour, and a little noise."""
    x = 0.01 * draw(1, 3, 12, 12, seed=3)
    x[:, 0, :6, :6] += 3
    x[:, 1, :6, 6:] += 3
    x[:, 2, 6:, :6] += 3
    return x


def test_equals_scikit_learns_weighted_ridge() -> None:
    z = torch.rand(60, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64) < 0.5
    y = draw(60, seed=2)
    weight = torch.exp(-((1 - z.double().mean(1).sqrt()) ** 2) / 0.25**2)
    peer = Ridge(alpha=2.0).fit(z.numpy(), y.numpy(), sample_weight=(weight / weight.sum() * 60).numpy())
    np.testing.assert_allclose(_ridge(z.double(), y, 0.25, 2.0), peer.coef_, rtol=1e-9)


def test_a_linear_score_gives_the_loss_of_each_segment() -> None:
    model, x = Linear((3, 12, 12)), coloured()
    made = explained(model, x, "lime", segments=4, forwards=200, ridge=0.0, baseline="black")
    labels = segment_cells(x, 4).labels[0]
    share = (model.weight[1] * x).sum((0, 1)).detach()
    for segment in labels.unique():
        at = labels == segment
        torch.testing.assert_close(values(made)[0][at], share[at].sum().expand(int(at.sum())))


def test_a_constant_score_has_no_weights() -> None:
    model = Linear((3, 12, 12))
    torch.nn.init.zeros_(model.weight)
    made = explained(model, coloured(), "lime", segments=4, forwards=30)
    assert np.abs(made.values).max() < 1e-12
    assert made.warnings, "a blank map says so"


@pytest.mark.parametrize("options", [{"forwards": 2}, {"kernel_width": 0.0}, {"ridge": -1.0}, {"segments": 1}])
def test_options_without_a_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(LayoutError):
        explained(Linear((3, 12, 12)), coloured(), "lime", **options)
