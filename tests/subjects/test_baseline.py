from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from regard.errors import MethodError
from regard.subjects.baseline import baseline_picture

X = torch.randn(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))
SPAN = ((-2.0, -1.0, -3.0), (2.0, 1.0, 3.0))


def test_black_and_white_are_the_models_own() -> None:
    assert baseline_picture(X, "black", span=SPAN)[1, :, 3, 4].tolist() == [-2.0, -1.0, -3.0]
    assert baseline_picture(X, "white", span=SPAN)[0, :, 0, 0].tolist() == [2.0, 1.0, 3.0]
    assert baseline_picture(X, "black").unique().tolist() == [0.0]
    assert baseline_picture(X[:, :2], "white", span=SPAN).unique().tolist() == [1.0], "no span for these channels"


def test_uniform_noise_lies_between_them_and_is_the_same_for_all() -> None:
    made = baseline_picture(X, "uniform", span=SPAN, generator=torch.Generator().manual_seed(1))
    assert torch.equal(made[0], made[1])
    assert made[:, 2].abs().max() <= 3.0
    assert made[:, 2].abs().max() > 2.0
    wide = baseline_picture(X.double(), "uniform", span=SPAN, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(wide.float(), made)


def test_a_series_is_blurred_along_time_only() -> None:
    step = torch.zeros(1, 2, 100)
    step[:, 0, 50:] = 1.0
    made = baseline_picture(step, "blur")
    assert made[0, 1].abs().max() == 0.0
    assert 0.4 < float(made[0, 0, 49]) < 0.6
    assert torch.equal(baseline_picture(step, "mean")[0, 0], torch.full((100,), 0.5))


def test_a_blurred_picture_is_a_convolution_with_edges_repeated() -> None:
    sigma, reach = 12 / 20, 2
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).double() / sigma) ** 2)
    both = kernel[:, None] * kernel / kernel.sum() ** 2
    padded = F.pad(X.double(), (reach,) * 4, mode="replicate")
    wanted = F.conv2d(padded.flatten(0, 1)[:, None], both[None, None])[:, 0].view_as(X)
    torch.testing.assert_close(baseline_picture(X.double(), "blur"), wanted)


def test_refusals() -> None:
    with pytest.raises(MethodError, match="no baseline named 'blak'") as caught:
        baseline_picture(X, "blak")
    assert "'black'" in caught.value.hint
