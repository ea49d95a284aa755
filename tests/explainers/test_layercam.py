from __future__ import annotations

import torch

from .layers import Head, layer_of
from .models import draw, explained, values


def test_is_activation_times_positive_gradient() -> None:
    model, x = Head(), draw(2, 3, 8, 6)
    a, g = layer_of(model, x)
    wanted = sum(a[:, k] * torch.maximum(g[:, k], torch.zeros(())) for k in range(4))
    torch.testing.assert_close(values(explained(model, x, "layercam")), wanted)
    assert (g < 0).any()
