"""volo-outlook works: timm's outlook attention with copied weights, a double box sum, and a linear cost."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, flops, gap
from .toys import seeded

outlook = rg.operators.outlook


@works("volo-outlook")
def test_equals_timm_with_copied_weights() -> None:
    """Three heads, 3 x 3 and 5 x 5 kernels, an oblong map, to 1e-12."""
    volo = pytest.importorskip("timm.models.volo")
    for kernel in (3, 5):
        with seeded(0):
            layer = volo.OutlookAttention(12, 3, kernel_size=kernel, padding=kernel // 2).double().eval()
        x = drawn(2, 6, 7, 12)
        with torch.no_grad():
            v = layer.v(x).flatten(1, 2).unflatten(-1, (3, 4)).transpose(1, 2)
            affinity = layer.attn(x).flatten(1, 2).unflatten(-1, (3, kernel**2, kernel**2)).transpose(1, 2)
            ours = outlook(v, affinity * layer.scale, rg.Grid(6, 7), kernel=kernel)
            ours = layer.proj(ours.transpose(1, 2).flatten(2).unflatten(1, (6, 7)))
            assert gap(ours, layer(x)) < 1e-12


@works("volo-outlook")
def test_uniform_weights_are_a_double_box_sum() -> None:
    """Each centre averages its k^2 neighbours, zeros outside, and each patch adds up the centres around it."""
    for kernel in (3, 5):
        v = drawn(2, 3, 30, 4)
        maps = v.mT.flatten(0, 1).unflatten(-1, (5, 6))
        box = lambda x, k=kernel: F.avg_pool2d(x, k, 1, k // 2)  # noqa: E731  # zeros count
        wanted = (box(box(maps)) * kernel**2).flatten(2).mT.unflatten(0, (2, 3))
        even = torch.zeros(2, 3, 30, kernel**2, kernel**2).double()
        assert gap(outlook(v, even, rg.Grid(5, 6), kernel=kernel), wanted) < 1e-12


@works("volo-outlook")
def test_equivariant_to_translation_inside_the_borders() -> None:
    """A scene moved by one row and two columns: two patches and more from every border the output moves along."""
    grid, v, a = rg.Grid(8, 9), drawn(1, 2, 72, 4), drawn(1, 2, 72, 9, 9, seed=1)

    def moved(x: Tensor) -> Tensor:
        return x.unflatten(2, (8, 9)).roll((1, 2), (2, 3)).flatten(2, 3)

    here = moved(outlook(v, a, grid)).unflatten(2, (8, 9))
    there = outlook(moved(v), moved(a), grid).unflatten(2, (8, 9))
    assert gap(here[:, :, 3:6, 4:7], there[:, :, 3:6, 4:7]) < 1e-12
    assert gap(here, there) > 0.01  # not so at the borders


@works("volo-outlook")
def test_cost_is_linear_in_pixels() -> None:
    few, many = ((drawn(1, 2, n, 4), drawn(1, 2, n, 9, 9, seed=1)) for n in (64, 128))
    small = flops(lambda v, a: outlook(v, a, rg.Grid(8, 8)), *few)
    assert flops(lambda v, a: outlook(v, a, rg.Grid(8, 16)), *many) == 2 * small > 0
