from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .pairs import check


def near(i: int, j: int, length: int, k: int, s: int, d: int, causal: bool) -> bool:
    """NATTEN's rule for one pair, by listing: the group of the query, its leader, and the window that follows it."""
    group = [p for p in range(length) if p % d == i % d]
    at = group.index(i)
    stride = [p for p in range(len(group)) if p // s == at // s]
    if causal:
        leader = min(stride[0] + s - 1, len(group) - 1)
        return j in [p for p in group[max(0, leader - k + 1) : leader + 1] if p <= i]
    leader = min(stride[0] + s // 2, len(group) - 1)
    window = [leader - k // 2 + n for n in range(k)]
    while window[0] < 0:
        window = [n + 1 for n in window]
    while window[-1] >= len(group):
        window = [n - 1 for n in window]
    return j in [group[n] for n in window]


def test_random_settings_on_one_axis() -> None:
    draw = torch.Generator().manual_seed(3)

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=draw))

    for _ in range(60):
        d = pick(1, 3)
        length = pick(2 * d, 17)
        k = pick(1, length // d)
        s, causal = pick(1, k), bool(pick(0, 1))
        pattern = rg.patterns.neighborhood(length, k, s, d, causal)
        check(pattern, lambda i, j, f=(length, k, s, d, causal): near(i[0], j[0], *f))


@pytest.mark.parametrize("axes", [(5, 7), (3, 4, 5)])
def test_several_axes_are_the_product(axes: tuple[int, ...]) -> None:
    k, s, d, c = (
        (3, 2, 3)[: len(axes)],
        (1, 2, 2)[: len(axes)],
        (1, 2, 1)[: len(axes)],
        (False, True, False)[: len(axes)],
    )
    pattern = rg.patterns.neighborhood(axes, k, s, d, c)
    check(pattern, lambda i, j: all(near(*facts) for facts in zip(i, j, axes, k, s, d, c, strict=True)))


def test_identities() -> None:
    near_, dense, window = rg.patterns.neighborhood, rg.patterns.dense, rg.patterns.window
    assert near_((6, 8), (3, 4), stride=(3, 4)) == window((6, 8), (3, 4))  # 1: stride = kernel
    assert near_((6, 9), (6, 9), stride=4) == dense((6, 9))  # 2: kernel = length
    assert near_((5, 4), 1).mask().equal(torch.eye(20, dtype=torch.bool))  # 3
    assert (near_((6, 7), (4, 3), 2).mask().sum(-1) == 12).all()  # 10
    assert near_((1, 9), (1, 3)).mask().equal(near_(9, 3).mask())  # 11: an axis of one token drops out
    odd, even = near_(9, 3).mask(), near_(9, 4).mask()
    assert odd.flip(0, 1).equal(odd)  # 12
    assert not even.flip(0, 1).equal(even)
    across = near_((5, 6), (3, 4)).mask().view(5, 6, 5, 6).permute(1, 0, 3, 2).reshape(30, 30)
    assert across.equal(near_((6, 5), (4, 3)).mask())  # 13
    inside = near_(12, 5).mask()
    assert inside[4, 2:9].equal(inside[5, 3:10])  # 14
    assert near_(15, 9, stride=3).boxes == rg.patterns.neighborhood(15, 9, 3).boxes  # the same again
    assert near_(9, 3, dilation=3) == rg.patterns.grid(9, 3)  # 5: DiNA with k d = L is MaxViT's grid


def test_dilation_is_a_neighborhood_in_each_group() -> None:
    mask = rg.patterns.neighborhood(11, 3, dilation=3).mask()  # uneven groups: 4, 4, 3
    for g in range(3):
        assert mask[g::3, g::3].equal(rg.patterns.neighborhood(len(range(g, 11, 3)), 3).mask())


def test_sliding_tiles_are_strided_windows() -> None:
    """18: a tile sees its own and the neighbouring tiles = stride of a tile, window of an odd number of tiles."""
    mask = rg.patterns.neighborhood(20, 12, stride=4).mask()
    for i in range(20):
        tile = min(max(i // 4, 1), 3)
        assert mask[i].nonzero().flatten().tolist() == list(range(tile * 4 - 4, tile * 4 + 8))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"window": 9}, r"window \* dilation = \(9, 9\) is larger than space 8x8 \(9 > 8\)"),
        ({"window": 3, "dilation": 3}, r"window \* dilation = \(9, 9\)"),
        ({"window": 3, "stride": 4}, "stride 4 over window 3"),
        ({"window": (3, 3, 3)}, r"window = \(3, 3, 3\) has 3 numbers; space 8x8 has 2 axes"),
        ({"window": 0}, "window = 0; it is at least 1"),
    ],
)
def test_refusals(given: dict[str, object], text: str) -> None:
    with pytest.raises(LayoutError, match=text):
        rg.patterns.neighborhood((8, 8), **given)  # type: ignore[arg-type]
