from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LinearRegression

from regard.errors import LayoutError
from regard.explainers._surrogate import main_effects
from regard.subjects.designs import antithetic, hadamard, whole_design

from .models import draw


def test_equals_scikit_learns_least_squares() -> None:
    keep = antithetic(60, 7, torch.Generator().manual_seed(0))
    scores = draw(60, 2, seed=1)
    values, _ = main_effects(keep, scores)
    peer = LinearRegression().fit(keep.numpy(), scores.numpy())
    torch.testing.assert_close(values, torch.from_numpy(peer.coef_))


def test_the_error_is_that_of_the_residual() -> None:
    keep = hadamard(whole_design(6) * 8, 6, torch.Generator().manual_seed(0))
    truth = draw(6, seed=2)
    runs = [main_effects(keep, (keep.double() @ truth + draw(len(keep), seed=s))[:, None]) for s in range(9, 99)]
    found, error = (torch.stack([run[i][0] for run in runs]) for i in (0, 1))
    assert 0.8 < float(found.std(0).mean() / error.mean()) < 1.25
    torch.testing.assert_close(found.mean(0), truth, rtol=0, atol=0.1)


def test_a_ridge_beats_no_ridge_where_masks_are_few() -> None:
    truth = torch.zeros(60, dtype=torch.float64)
    truth[5] = 4
    keep = hadamard(40, 60, torch.Generator().manual_seed(0))
    scores = keep.double() @ truth + 0.1 * draw(40, seed=3)
    values, _ = main_effects(keep, scores[:, None])
    plain = torch.linalg.pinv(keep[0::2].double() - 0.5) @ ((scores[0::2] - scores[1::2]) / 2)
    assert int(values[0].argmax()) == 5
    assert (values[0] - truth).norm() <= 1.01 * (plain - truth).norm()


@pytest.mark.parametrize("n", [2, 9])
def test_masks_without_their_complements_are_refused(n: int) -> None:
    keep = torch.rand(n, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    with pytest.raises(LayoutError, match="each followed by its complement"):
        main_effects(keep, draw(n, 1))
