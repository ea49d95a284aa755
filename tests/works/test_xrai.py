"""xrai works: nested regions, a planted object first, black evidence not overlooked; the authors' package agrees."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.explainers._regions import felzenszwalb_regions, grow
from regard.testing.marks import works


class Patch(nn.Module):
    """The colour of one square, `sign` times its mean brightness, squashed."""

    def __init__(self, at: slice, sign: float) -> None:
        super().__init__()
        self.at, self.sign = at, sign

    def forward(self, x: Tensor) -> Tensor:
        y = self.sign * x[:, :, self.at, self.at].mean((1, 2, 3))
        return torch.stack([-y, y + 0.1 * y**3], 1)


@works("xrai")
@pytest.mark.parametrize(("level", "sign"), [(0.95, 1.0), (0.0, -1.0)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_planted_object_comes_first_also_where_it_is_black(level: float, sign: float, seed: int) -> None:
    """Integrated gradients from black alone give a black object nothing at all; from black and white it is found."""
    x = 0.4 + 0.2 * torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(seed))
    at = slice(20 + 10 * seed, 44 + 10 * seed)
    x[:, :, at, at] = level
    truth = torch.zeros(96, 96, dtype=torch.bool)
    truth[at, at] = True
    model = Patch(at, sign)
    made = torch.from_numpy(rg.explain(model, x, method=partial(rg.explainers.xrai, steps=8), target=1).values)[0]
    top = made == made.max()
    assert float((top & truth).sum() / (top | truth).sum()) > 0.6
    if level == 0:
        blind = rg.explain(model, x, method=partial(rg.explainers.integrated_gradients, steps=8), target=1).values[0]
        assert np.abs(blind[truth.numpy()]).max() == 0

    regions = felzenszwalb_regions(x[0])
    slope = torch.where(truth, 1.0, 0.0)
    grown, order = grow(slope, regions, 9)
    levels = grown.unique(sorted=True).flip(0)
    assert len(order) == len(set(order))
    nested = [grown >= one for one in levels]
    assert all(bool((big | small == big).all()) for small, big in pairwise(nested))


@works("xrai")
@pytest.mark.peers
@pytest.mark.weights
def test_agrees_with_the_authors_package_on_a_photo(efficientnet: nn.Module) -> None:
    """The same attributions of EfficientNet-lite0 and their own segments: to 1e-4."""
    saliency = pytest.importorskip("saliency.core")
    from saliency.core.xrai import _get_segments_felzenszwalb

    x = rg.image("sample:chelsea", like=efficientnet)
    attribution = rg.explain(efficientnet, x, method=partial(rg.explainers.integrated_gradients, steps=4)).values[0]
    image = x[0].permute(1, 2, 0).numpy()
    segments = [np.asarray(one) > 0 for one in _get_segments_felzenszwalb(image)]
    spread = np.repeat(attribution[..., None], 3, 2)
    theirs = saliency.XRAI().GetMask(image, None, segments=segments, base_attribution=spread)
    ours, _ = grow(torch.from_numpy(attribution), torch.from_numpy(np.stack(segments)), 50)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-7)
    own = felzenszwalb_regions(x[0])
    assert abs(len(own) - len(segments)) <= 0.1 * len(segments)
