"""Odd-one-out of arrangement: three pictures of the same small tiles, of which one has another layout."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.registry import method

Trial = tuple[Float[Tensor, "3 c H W"], int]


@method(
    "gaze.stimuli",
    paper="disrt-gestalt",
    claim="all three copies hold the same tiles, pixel by pixel",
    source="written from the idea of the benchmark",
    needs={"x"},
    differs="copies keep tiles in the place of texture statistics",
    unit="as x",
)
def gestalt(
    x: Float[Tensor, "c H W"],
    *,
    blocks: int = 4,
    tiles: int = 4,
    displaced: float = 1.0,
    local: float = 0.25,
    seed: int = 0,
) -> Trial:
    """Three copies of a picture, all with a few tiles exchanged within blocks, one with its blocks exchanged too.

    The picture is cut in blocks x blocks, each of these in tiles x tiles. In every copy, by a draw of its own, a share
    `local` of each block's tiles change places; in the odd one a share `displaced` of the blocks do as well. All three
    hold the same tiles, pixel by pixel, so that whatever only counts them is at chance (1/3); what is told apart is the
    layout. Gives the copies and which is odd.

    x [C, H, W] with sides divisible by blocks * tiles. Raises LayoutError.
    Source: written from the idea of the Distorted Spatial Relationship Testbench (papers: disrt-gestalt), whose copies
    keep texture statistics by synthesis; here they keep the tiles themselves.

    >>> import torch
    >>> trial, odd = gestalt(torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)))
    >>> trial.shape, odd in (0, 1, 2)
    (torch.Size([3, 3, 32, 32]), True)
    """
    if blocks < 2 or tiles < 1 or not 0 < displaced <= 1 or not 0 <= local <= 1:
        raise LayoutError(
            f"blocks={blocks}, tiles={tiles}, displaced={displaced}, local={local}",
            hint="2 blocks or more, shares 0..1",
        )
    if x.shape[1] % (blocks * tiles) or x.shape[2] % (blocks * tiles):
        raise LayoutError(f"{list(x.shape)} in {blocks} x {tiles} tiles a side", hint="sides divisible by both")
    g = torch.Generator().manual_seed(seed)
    odd = int(torch.randint(3, (1,), generator=g))
    cut = x.unflatten(2, (blocks, tiles, -1)).unflatten(1, (blocks, tiles, -1))  # c, by, ty, h, bx, tx, w
    parts = cut.permute(1, 4, 2, 5, 0, 3, 6).flatten(2, 3).flatten(0, 1)  # block, tile, c, h, w
    copies = []
    for k in range(3):
        mine = torch.stack([block[_moved(tiles**2, local, g)] for block in parts])
        if k == odd:
            mine = mine[_moved(blocks**2, displaced, g)]
        back = mine.unflatten(0, (blocks, blocks)).unflatten(2, (tiles, tiles)).permute(4, 0, 2, 5, 1, 3, 6)
        copies.append(back.flatten(4, 6).flatten(1, 3))
    return torch.stack(copies), odd


def odd_one(features: Float[Tensor, "3 d"]) -> int:
    """Which of three is farthest from the other two, by the cosine; the first of equal ones.

    >>> odd_one(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]]))
    1
    """
    unit = torch.nn.functional.normalize(features, dim=-1)
    return int((unit @ unit.T).sum(1).argmin())


def top_share(features: Float[Tensor, "*s d"], share: float) -> Float[Tensor, "*s d"]:
    """Only the largest `share` of each row's activations, the others 0: the benchmark's sparsity switch.

    >>> top_share(torch.tensor([1.0, 4.0, -3.0, 2.0]), 0.5)
    tensor([0., 4., 0., 2.])
    """
    if not 0 < share <= 1:
        raise LayoutError(f"share={share}", hint="over 0, up to 1")
    keep = max(1, round(share * features.shape[-1]))
    at = features.topk(keep, dim=-1).indices
    return torch.zeros_like(features).scatter(-1, at, features.gather(-1, at))


def _moved(n: int, share: float, g: torch.Generator) -> Tensor:
    """An order of n in which round(share n) stand elsewhere, in a cycle; none if that is under two."""
    order = torch.arange(n)
    chosen = torch.randperm(n, generator=g)[: round(share * n)]
    order[chosen] = chosen.roll(1)
    return order
