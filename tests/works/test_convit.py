"""convit works: timm's attention with copied weights, a convolution at its initialisation, position alone at gate 1."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, gap
from .toys import seeded

HEADS, WIDTH = 9, 18
gated = rg.operators.gated_positional


def layer(*, locality: bool) -> nn.Module:
    convit = pytest.importorskip("timm.models.convit")
    with seeded(0):
        made = convit.GPSA(WIDTH, num_heads=HEADS, locality_strength=1.0)
        made.local_init()
        if not locality:
            nn.init.normal_(made.pos_proj.weight)
            nn.init.normal_(made.gating_param)
    return made.double().eval()


def operands(made: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q, k, v and the logits of position, by the layer's own weights."""
    made(x)  # it makes its relative positions on the first call
    split = lambda t: t.unflatten(-1, (HEADS, -1)).transpose(1, 2)  # noqa: E731
    q, k = made.qk(x).chunk(2, -1)  # type: ignore[operator]
    position = made.pos_proj(made.rel_indices.double())[0].permute(2, 0, 1)  # type: ignore[operator, union-attr]
    return split(q), split(k), split(made.v(x)), position  # type: ignore[operator]


def merged(made: nn.Module, out: Tensor) -> Tensor:
    return made.proj(out.transpose(1, 2).flatten(2))  # type: ignore[operator]


@works("convit")
def test_equals_timm_with_copied_weights() -> None:
    """Random gates and positions, 4 x 4 and 5 x 5 patches, to 1e-12. timm divides by a sum of 1 besides."""
    for side in (4, 5):
        made, x = layer(locality=False), drawn(2, side * side, WIDTH)
        with torch.no_grad():
            q, k, v, position = operands(made, x)
            ours = gated(q, k, v, position, gate=torch.sigmoid(made.gating_param))
            assert gap(merged(made, ours), made(x)) < 1e-12


@works("convit")
def test_at_its_initialisation_with_large_locality_it_is_a_convolution() -> None:
    """Nine heads centred on the taps of a 3 x 3 kernel, v the identity: with strength 100 the layer equals conv2d with
    the taps of proj inside the picture, to 1e-9; with strength 0.1 it does not."""
    made, x = layer(locality=True), drawn(1, 36, WIDTH)
    made(x)
    relative = made.rel_indices[0].double()  # type: ignore[index, union-attr]
    v = x.unflatten(-1, (HEADS, -1)).transpose(1, 2)
    inside = (..., slice(1, 5), slice(1, 5))

    def by_position(strength: float) -> Tensor:
        position = (relative @ made.pos_proj.weight.T * strength).permute(2, 0, 1)  # type: ignore[operator, union-attr]
        return merged(made, gated(v, v, v, position, gate=1.0)).mT.unflatten(-1, (6, 6))[inside]

    with torch.no_grad():
        # Logits -|d|^2 + 2 d . c are -|d - c|^2 but for a constant: the centre c = (x, y) stands in the weights.
        centres = [tuple(c) for c in (made.pos_proj.weight[:, :2] / 2).round().int().tolist()]  # type: ignore[index]
        assert sorted(centres) == [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        kernel = torch.zeros(WIDTH, WIDTH, 3, 3).double()
        for head, (cx, cy) in enumerate(centres):
            part = slice(2 * head, 2 * head + 2)
            kernel[:, part, 1 + cy, 1 + cx] = made.proj.weight[:, part]  # type: ignore[index, union-attr]
        maps = x.mT.unflatten(-1, (6, 6))
        wanted = F.conv2d(maps, kernel, made.proj.bias, padding=1)[inside]  # type: ignore[arg-type, union-attr]
        assert gap(by_position(100.0), wanted) < 1e-9
        assert gap(by_position(0.1), wanted) > 0.01


@works("convit")
def test_a_gate_of_one_is_position_alone() -> None:
    q, k, v, position = (drawn(1, 2, 9, 4, seed=i) for i in range(4))
    where = drawn(2, 9, 9)
    assert gap(gated(q, k, v, where, gate=1.0), torch.softmax(where, -1) @ v) < 1e-12
    assert gap(gated(9 * position, -k, v, where, gate=1.0), gated(q, k, v, where, gate=1.0)) == 0.0
    assert gap(gated(9 * q, -k, v, where, gate=0.9), gated(q, k, v, where, gate=0.9)) > 0.01
