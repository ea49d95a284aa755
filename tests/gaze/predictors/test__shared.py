from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import color

from regard.errors import ImageError
from regard.gaze.predictors._shared import as_map, blur, box, check_pictures, grey, lab, shrunk

from .tools import drawn


def test_lab_is_scikit_images() -> None:
    x = drawn()
    want = color.rgb2lab(x[1].permute(1, 2, 0).numpy())
    assert np.abs(lab(x)[1].permute(1, 2, 0).numpy() - want).max() < 1e-4


@pytest.mark.parametrize(("edge", "mode"), [("replicate", "nearest"), ("constant", "constant")])
def test_blur_and_box_are_scipys(edge: str, mode: str) -> None:
    x = drawn()[:, 0]
    assert (
        np.abs(blur(x, 2.5, edge=edge)[1].numpy() - ndimage.gaussian_filter(x[1].numpy(), 2.5, mode=mode)).max() < 1e-3
    )
    assert torch.equal(blur(x, 0.0), x)
    assert np.allclose(box(x, 3)[1].numpy(), ndimage.uniform_filter(x[1].numpy(), 3, mode="nearest"))


def test_sizes() -> None:
    x = drawn()
    assert shrunk(x, 20).shape[-2:] == (14, 20)
    assert shrunk(x, 100) is x
    assert shrunk(x, 106, enlarge=True).shape[-2:] == (74, 106)
    assert torch.allclose(grey(torch.full((1, 3, 2, 2), 0.3)), torch.tensor(0.3))
    assert as_map(x[:, 0]).grid.w == 53


def test_refusals() -> None:
    with pytest.raises(ImageError, match=r"pictures in -[12.]+\.\.\S+, not 0\.\.1\n.*without like="):
        check_pictures(drawn() * 4 - 2)
    with pytest.raises(ImageError, match=r"\[2, 37, 53\]"):
        check_pictures(drawn()[:, 0])
