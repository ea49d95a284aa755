from __future__ import annotations

import torch

from .gradients import Layers, retained, streamed


def test_equals_the_reduction_of_the_retained_gradient() -> None:
    pairs = retained(Layers())
    for got, (p, g) in zip(streamed(Layers(), "head_coupling"), pairs, strict=True):
        torch.testing.assert_close(got, p.mT @ g, rtol=1e-9, atol=1e-12)
