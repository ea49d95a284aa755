"""ViTGaze: a frozen transformer's attention, read at a person's head, tells what that person looks at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.layout import Grid


def interactions(attention: Sequence[Tensor], head: Float[Tensor, "b h w"], grid: Grid) -> Float[Tensor, "b maps h w"]:
    """How each patch is attended to from the patches of the head: every layer's and head's row, averaged over `head`.

    attention: probabilities [B, H, N, N] of some layers, as `rg.watch(..., keep=["probs"])` keeps them; head: weights
    over patches, divided by their sum (a box: ones inside). Maps are multiplied by the number of patches, so that
    even attention is 1.

    >>> even = torch.full((1, 2, 5, 5), 0.2)
    >>> interactions([even], torch.eye(2)[None], Grid(2, 2, prefix=1)).flatten().round(decimals=4)
    tensor([0.8000, 0.8000, 0.8000, 0.8000, 0.8000, 0.8000, 0.8000, 0.8000])
    """
    if not attention or tuple(head.shape[1:]) != (grid.h, grid.w):
        raise LayoutError(
            f"{len(attention)} layers, a head {list(head.shape)} on {grid}", hint="one layer at least, head [B, h, w]"
        )
    weights = head.flatten(1)
    if bool((weights.sum(1) <= 0).any()):
        raise LayoutError("a head that covers no patch", hint="weights over patches, one at least above 0")
    weights = weights / weights.sum(1, keepdim=True)
    found = []
    for probs in attention:
        grid.check_tokens(probs.shape[-1], "the attention")
        between = probs[:, :, grid.prefix :, grid.prefix :]
        found.append(torch.einsum("bn,bhnm->bhm", weights.to(between), between))
    return torch.cat(found, 1).unflatten(2, (grid.h, grid.w)) * grid.patches


class ViTGaze(nn.Module):
    """Interaction maps and head -> logits of the gaze's place, and of its being inside the picture. Untrained.

    Maps (DINOv2-small: 4 layers x 6 heads = 24) -> 3 x 3 convolutions 24-16-8-1 with two doublings of the size;
    the head's token (384) -> MLP -> one logit. Published: 434 pixels, layers 2, 5, 8, 11, Adam 1e-4.

    >>> with torch.random.fork_rng():
    ...     place, inside = ViTGaze(maps=6, features=8)(torch.rand(2, 6, 5, 7), torch.rand(2, 8))
    >>> place.shape, inside.shape
    (torch.Size([2, 20, 28]), torch.Size([2]))
    """

    def __init__(self, *, maps: int = 24, features: int = 384) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(maps)
        self.first, self.second = nn.Conv2d(maps, 16, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 1, 3, padding=1)
        self.inside = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, 1))

    def forward(
        self, maps: Float[Tensor, "b m h w"], token: Float[Tensor, "b f"]
    ) -> tuple[Float[Tensor, "b y x"], Float[Tensor, " b"]]:
        """Logits over four times as many rows and columns, and the logit of looking at something in the picture."""
        x = self.first(self.norm(maps.clamp_min(1e-6).log())).relu()
        x = self.second(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)).relu()
        x = self.last(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        return x[:, 0], self.inside(token)[:, 0]
