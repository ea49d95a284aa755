from __future__ import annotations

import torch

from .layers import Head, layer_of
from .models import draw, explained, values


def test_weights_are_gradients_where_a_channel_is_active_and_the_sum_is_kept() -> None:
    model, x = Head(), draw(2, 3, 8, 6)
    a, g = layer_of(model, x)
    wanted = sum(
        a[:, k] * ((a[:, k] * g[:, k]).sum((1, 2)) / a[:, k].sum((1, 2)))[:, None, None] for k in range(4)
    )  # fmt: skip
    got = values(explained(model, x, "xgradcam"))
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(got.sum((1, 2)), (a * g).sum((1, 2, 3)))


def test_an_empty_channel_has_no_weight() -> None:
    model, x = Head(), draw(1, 3, 8, 6)
    model.features.weight.data[0] = 0.0
    assert model.features.bias is not None
    model.features.bias.data[0] = 0.0
    a, g = layer_of(model, x)
    assert not a[:, 0].any()
    wanted = sum(a[:, k] * (a[:, k] * g[:, k]).sum() / a[:, k].sum() for k in range(1, 4))
    torch.testing.assert_close(values(explained(model, x, "xgradcam")), wanted)
