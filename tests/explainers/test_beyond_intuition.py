from __future__ import annotations

import pytest
import torch

from regard.errors import CallError
from regard.testing.planted import PlantedViT, planted_pictures

from .matrices import attention_of, gradient_of
from .models import explained, values

X = planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)


@pytest.mark.parametrize("start", [0, 1])
def test_is_perception_times_feedback_on_explicit_matrices(start: int) -> None:
    model, steps = PlantedViT(seed=2).double(), 3
    layers = list(zip(attention_of(model, X), gradient_of(model, X), strict=True))
    perceived = torch.eye(65, dtype=torch.float64).expand(2, 65, 65)
    for a, g in layers[start:]:
        weight = (a.mT @ g).abs().mean((2, 3))
        weight = weight / weight.sum(1, keepdim=True)
        perceived = perceived + (weight[..., None, None] * a).sum(1) @ perceived
    feedback = sum(gradient_of(model, X * k / steps)[-1] for k in range(1, steps + 1)) / steps
    wanted = perceived[:, 0] * feedback[:, :, 0].clamp_min(0).mean(1)
    got = explained(model, X, "beyond_intuition", start=start, steps=steps)
    torch.testing.assert_close(values(got).flatten(1), wanted[:, 1:])


def test_refusals() -> None:
    with pytest.raises(CallError, match="a start at layer 2 of 2"):
        explained(PlantedViT().double(), X, "beyond_intuition", start=2)
