from __future__ import annotations

import torch

from .layers import Head, layer_of
from .models import draw, explained, values


def test_is_the_weighted_sum_of_equation_19_place_by_place() -> None:
    model, x = Head(), draw(2, 3, 8, 6)
    a, g = layer_of(model, x)
    wanted = torch.zeros(2, 4, 3, dtype=torch.float64)
    for b in range(2):
        for k in range(4):
            total = float(a[b, k].sum())
            weight = 0.0
            for one in g[b, k].flatten().tolist():
                weight += one**2 / (2 * one**2 + total * one**3) * max(one, 0.0)
            wanted[b] += weight * a[b, k]
    torch.testing.assert_close(values(explained(model, x, "gradcam_plus_plus")), wanted)


def test_a_gradient_of_zero_has_no_weight() -> None:
    model, x = Head(), draw(1, 3, 8, 6)
    model.weight.data[1, :2] = 0.0
    got = values(explained(model, x, "gradcam_plus_plus"))
    a, g = layer_of(model, x)
    share = g**2 / (2 * g**2 + a.sum((2, 3), keepdim=True) * g**3)
    wanted = ((share * g.relu()).sum((2, 3), keepdim=True) * a)[:, 2:].sum(1)  # of the channels that have one
    torch.testing.assert_close(got, wanted)
