from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.errors import LayoutError
from regard.explainers._regions import felzenszwalb_regions, grow

from .models import Linear, draw, explained, values


def test_grows_regions_on_the_largest_channel_of_both_gradients() -> None:
    model, x = Linear((3, 20, 24)), draw(2, 3, 20, 24, seed=4)
    made = values(explained(model, x, "xrai", steps=2))
    for b in range(2):
        attribution = (model.weight[1] * (x[b] - 0.5)).amax(0).detach()  # black is 0, white 1
        wanted, _ = grow(attribution, felzenszwalb_regions(x[b]), 1)
        torch.testing.assert_close(made[b], wanted)


@pytest.mark.peers
def test_equals_the_authors_package_on_the_same_segments_and_attributions() -> None:
    saliency = pytest.importorskip("saliency.core")
    x, attribution = draw(60, 70, 3), draw(60, 70, 3, seed=1)
    regions = felzenszwalb_regions(x.permute(2, 0, 1))
    theirs = saliency.XRAI().GetMask(
        x.numpy(), None, segments=list(regions.numpy()), base_attribution=attribution.numpy()
    )
    ours, _ = grow(attribution.amax(2), regions, 50)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-9, atol=1e-12)


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="least=50"):
        explained(Linear(), draw(1, 3, 5, 7), "xrai", least=0)
