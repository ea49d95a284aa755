"""JuntingNet: three convolutions and a maxout layer, trained end to end; the first of its kind."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

SIDE, CELLS = 96, 48


class JuntingNet(nn.Module):
    """Shallow network (Pan et al. 2016): photos [B, 3, 96, 96] -> [B, 48, 48]. Untrained.

    Convolutions 5 x 5 x 32, 3 x 3 x 64, 3 x 3 x 64, each with a ReLU and a 2 x 2 pool; a full layer of 4608, the
    larger of each pair (maxout) the map of 2304 = 48 x 48. 29,553,664 weights. The paper's loss is the squared
    difference to people's map, and its output is blurred by 2 cells when it is used.

    >>> import torch
    >>> with torch.random.fork_rng():
    ...     JuntingNet()(torch.rand(1, 3, 96, 96)).shape
    torch.Size([1, 48, 48])
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv2d(3, 32, 5), nn.Conv2d(32, 64, 3), nn.Conv2d(64, 64, 3)])
        self.full = nn.Linear(64 * 10 * 10, 2 * CELLS**2)

    def forward(self, x: Float[Tensor, "b 3 96 96"]) -> Float[Tensor, "b h w"]:
        """The map, before any blur."""
        for conv in self.convolutions:
            x = F.max_pool2d(conv(x).relu(), 2)
        return self.full(x.flatten(1)).unflatten(1, (-1, 2)).amax(-1).unflatten(1, (CELLS, CELLS))


def resized(photos: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3 96 96"]:
    """Photos as JuntingNet takes them.

    >>> import torch
    >>> resized(torch.rand(1, 3, 30, 50)).shape
    torch.Size([1, 3, 96, 96])
    """
    return F.interpolate(photos, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
