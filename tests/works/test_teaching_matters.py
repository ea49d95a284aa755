"""teaching-matters works: offset heads found exactly, distances in closed form, the same report every time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.core.call import Rows
from regard.testing.marks import works

DIRECTIONS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


class Built(nn.Module):
    """A patch embedding and one attention whose heads are built by hand: a displacement each, or None for uniform.

    The key of a patch is its number, one-hot, and its query the number of its target; a patch without a
    target, and CLS, ask for nothing and look everywhere alike. The picture has no say.
    """

    def __init__(self, h: int, w: int, offsets: list[tuple[int, int] | None]) -> None:
        super().__init__()
        self.embed = nn.utils.skip_init(nn.Conv2d, 3, 2, 4, stride=4)  # without drawing weights
        for weight in self.embed.parameters():
            nn.init.zeros_(weight)
        place = torch.arange(h * w)
        y, x = place // w, place % w
        q = torch.zeros(len(offsets), 1 + h * w, h * w)
        for head, offset in zip(q, offsets, strict=True):
            if offset is not None:
                to_y, to_x = y + offset[0], x + offset[1]
                there = (to_y >= 0) & (to_y < h) & (to_x >= 0) & (to_x < w)
                head[1 + place[there], (to_y * w + to_x)[there]] = 200.0  # exp(-200) is 0 in float32
        self.q = nn.Buffer(q)
        self.k = nn.Buffer(F.pad(torch.eye(h * w), (0, 0, 1, 0)).expand(len(offsets), -1, -1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.embed(x).flatten(2).mT[:, None]
        v = F.pad(patches, (0, 0, 1, 0)).expand(-1, len(self.q), -1, -1)
        q, k = (t.expand(len(x), -1, -1, -1) for t in (self.q, self.k))
        return F.scaled_dot_product_attention(q, k, v, scale=1.0)


def heads_of(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each layer and head: [L, H, 3] displacement (dy, dx) with its share, and [L, H] mean distance."""
    keep = {"offset": rg.probes.offset_head, "distance": rg.probes.distance}
    with torch.no_grad(), rg.watch(model, keep=keep) as record:
        model(x)
    offsets = torch.stack([reading["offset"].mean(0) for reading in record])
    return offsets, torch.stack([reading["distance"].nanmean(-1).mean(0) for reading in record])


@works("teaching-matters")
@pytest.mark.parametrize(("h", "w"), [(5, 7), (8, 6)])
def test_hand_built_offset_heads_are_found_exactly_and_a_uniform_head_is_not(h: int, w: int) -> None:
    """All eight neighbours, and two steps away; the uniform head's largest share is 1 / tokens, to rounding."""
    found, _ = heads_of(Built(h, w, [*DIRECTIONS, (2, -1), None]), torch.zeros(2, 3, 4 * h, 4 * w))
    *built, uniform = found[0].tolist()
    assert built == [[dy, dx, 1.0] for dy, dx in [*DIRECTIONS, (2, -1)]]
    assert uniform[2] == pytest.approx(1 / (1 + h * w), rel=1e-5)


@works("teaching-matters")
@pytest.mark.parametrize(("h", "w"), [(5, 7), (8, 6)])
def test_the_average_distance_is_the_closed_form_for_uniform_attention(h: int, w: int) -> None:
    """Of all pairs of patches, (h - |dy|) (w - |dx|) lie (dy, dx) apart."""
    apart = [(dy, dx) for dy in range(1 - h, h) for dx in range(1 - w, w)]
    closed = sum((h - abs(dy)) * (w - abs(dx)) * math.hypot(dy, dx) for dy, dx in apart) / (h * w) ** 2
    _, distance = heads_of(Built(h, w, [None, (0, 0)]), torch.zeros(1, 3, 4 * h, 4 * w))
    assert float(distance[0, 0]) == pytest.approx(closed, rel=1e-5)
    assert float(distance[0, 1]) == 0.0


@works("teaching-matters")
@pytest.mark.weights
def test_the_report_on_dinov2_is_reproducible_and_finds_its_offset_heads(dinov2: nn.Module) -> None:
    """Bitwise with the weights read anew; on three pictures the same four heads look up, down, left and right.

    The third picture is the mirrored second: a head of fixed direction does not turn with what it sees.
    """
    expected = {(1, 1): (0, 1), (2, 3): (0, -1), (3, 1): (1, 0), (3, 4): (-1, 0)}
    anew = rg.model("dinov2-small")
    coffee, astronaut = (rg.image(f"sample:{name}", like=dinov2) for name in ("coffee", "astronaut"))
    for x in (coffee, astronaut, astronaut.flip(-1)):
        offsets, distances = heads_of(dinov2, x)
        again = heads_of(anew, x.clone())
        assert torch.equal(offsets, again[0])
        assert torch.equal(distances, again[1])
        strong = (offsets[..., 2] > 0.3) & (offsets[..., :2] != 0).any(-1)
        found = {(layer, head): tuple(offsets[layer, head, :2].tolist()) for layer, head in strong.nonzero().tolist()}
        assert found == expected
        local = [float(distances[layer, head]) for layer, head in found]
        assert max(local) < 3 < float(distances.mean())


@pytest.mark.weights
def test_the_planted_fault_patches_out_of_order_have_no_offset_heads(dinov2: nn.Module) -> None:
    """The same weights of attention, with keys in another order: nothing is left of the four heads."""
    x = rg.image("sample:astronaut", like=dinov2, patches=200)
    with torch.no_grad(), rg.watch(dinov2, "blocks.{1..3}.attn", keep="probs") as record:
        dinov2(x)
    for reading in record:
        assert reading.grid is not None
        order = torch.randperm(reading.grid.patches, generator=torch.Generator().manual_seed(0)) + 1
        probs = reading["probs"].clone()
        probs[..., 1:] = probs[..., order]
        shuffled = rg.probes.offset_profile(Rows(0, probs.log(), probs, probs.shape[2]), reading.grid)
        assert float(shuffled.max()) < 0.05
