from __future__ import annotations

import torch

from .gradients import Layers, retained, streamed


def test_equals_the_reduction_of_the_retained_gradient() -> None:
    pairs = retained(Layers())
    for got, (_, g) in zip(streamed(Layers(), "positive_gradient"), pairs, strict=True):
        torch.testing.assert_close(got, g.clamp_min(0).mean(2), rtol=1e-9, atol=1e-12)
