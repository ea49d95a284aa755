"""halonet works: timm's layer with copied weights, global and block attention at its ends, nothing beyond the halo."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .arithmetic import dense, drawn, gap
from .toys import seeded

HEADS, WIDTH = 2, 16
H, W = 8, 12


def timm_layer(block: int, halo: int, stride: int) -> nn.Module:
    """Queries of a stride are taken at every second pixel, where the block can be divided."""
    attention = pytest.importorskip("timm.layers.halo_attn").HaloAttn
    with seeded(0):
        given = {"num_heads": HEADS, "block_size": block, "halo_size": halo, "qkv_bias": True, "stride": stride}
        return attention(WIDTH, **given).double().eval()


def relative_logits(made: nn.Module, q: Tensor, side: tuple[int, int]) -> Tensor:
    """q_i . (row[dy] + column[dx]) `[B, heads, N, N]`; where timm has none, beyond the halo, whatever is there."""
    step, shift = made.block_stride, made.halo_size + made.win_size - 1
    total = torch.zeros(*q.shape[:3], q.shape[2], dtype=q.dtype)
    for axis, table in enumerate((made.pos_embed.height_rel, made.pos_embed.width_rel)):
        place = torch.arange(q.shape[2]) // side[1] if axis == 0 else torch.arange(q.shape[2]) % side[1]
        in_block = place % made.block_size
        offset = place - (place - in_block)[:, None] - (in_block // step)[:, None]
        total = total + (q @ table.T).take_along_dim((offset + shift).clamp(0, len(table) - 1)[None, None], -1)
    return total


def ours(made: nn.Module, x: Tensor, pattern_halo: int) -> Tensor:
    """The layer's projections, then `attend` under the halo; a rim of zeros stands for timm's padding."""
    rim = made.block_size  # a whole block, so that blocks stay where they were
    side = H + 2 * rim, W + 2 * rim
    whole_q = F.conv2d(x, made.q.weight, made.q.bias)
    q, kv = (F.pad(t, (rim, rim, rim, rim)) for t in (whole_q, made.kv(x)))
    q = q.flatten(2).unflatten(1, (HEADS, -1)).mT
    k, v = kv.flatten(2).unflatten(1, (HEADS, -1)).mT.split([made.dim_head_qk, made.dim_head_v], -1)
    pattern = rg.patterns.halo(side, block=made.block_size, halo=pattern_halo)
    out = rg.attend(q, k, v, pattern=pattern, bias=relative_logits(made, q, side)).out
    out = out.mT.flatten(1, 2).unflatten(-1, side)[..., rim:-rim, rim:-rim]
    return out[..., :: made.block_stride, :: made.block_stride]


@works("halonet")
@pytest.mark.parametrize(("block", "halo", "stride"), [(4, 3, 1), (4, 1, 1), (2, 1, 1), (4, 2, 2), (2, 2, 2)])
def test_equals_timm_with_copied_weights(block: int, halo: int, stride: int) -> None:
    """To 1e-12, also with strided queries (attention downsampling); a halo smaller by one does not."""
    made, x = timm_layer(block, halo, stride), drawn(2, WIDTH, H, W)
    with torch.no_grad():
        theirs = made(x)
        assert gap(ours(made, x, halo), theirs) < 1e-12
        assert gap(ours(made, x, halo - 1), theirs) > 1e-3


@works("halonet")
def test_a_halo_over_the_picture_is_global_and_none_is_block_attention() -> None:
    q, k, v = (drawn(2, 2, 35, 8, seed=i) for i in range(3))
    attend = lambda pattern: rg.attend(q, k, v, pattern=pattern).out  # noqa: E731
    assert gap(attend(rg.patterns.halo((5, 7), block=2, halo=6)), dense(q, k, v)) < 1e-12
    place = torch.arange(35)
    block = place // 7 // 2 * 4 + place % 7 // 2
    by_hand = dense(q, k, v, block[:, None] == block)
    assert gap(attend(rg.patterns.halo((5, 7), block=2, halo=0)), by_hand) < 1e-12
    assert gap(attend(rg.patterns.halo((5, 7), block=2, halo=1)), by_hand) > 1e-2


@works("halonet")
def test_nothing_leaks_from_beyond_the_halo() -> None:
    """Gradients of one block's outputs: exactly zero beyond the ring, and not zero on it."""
    q, k, v = (drawn(1, 1, 81, 8, seed=i).requires_grad_() for i in range(3))
    out = rg.attend(q, k, v, pattern=rg.patterns.halo((9, 9), block=3, halo=2)).out.unflatten(2, (9, 9))
    for slope in torch.autograd.grad(out[:, :, 3:6, 3:6].square().sum(), (k, v)):
        reach = slope.abs().sum((0, 1, -1)).view(9, 9) > 0
        assert reach[1:8, 1:8].all()
        assert int(reach.sum()) == 49
