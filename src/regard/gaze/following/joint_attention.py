"""Joint attention: the one place that several people look at, from where they are, look and what they do."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.errors import LayoutError


def cones(
    places: Tensor, gazes: Tensor, size: tuple[int, int], *, spread: float = 0.2, doubt: float = 0.1
) -> Float[Tensor, "b h w"]:
    """The geometry alone: the product of people's gaze cones; the mean of its logs, as a density over the cells.

    A person's cone is exp(-a^2 / (2 spread^2)) of the angle a (radians) between the gaze and the way to the cell,
    mixed with `doubt` of a flat one, so that somebody who looks elsewhere lowers the others' place little.

    places, gazes [B, P, 2]: x and y in 0..1 of the picture's width and height, directions of any length.

    >>> two = torch.tensor([[[0.0, 0.5], [0.5, 0.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> divmod(int(cones(*two, (9, 9)).argmax()), 9)
    (4, 4)
    """
    _check(places, gazes)
    cells = _cells(size, places)
    away = cells[:, None] - places[:, :, None]
    angle = torch.atan2(
        away[..., 0] * gazes[:, :, None, 1] - away[..., 1] * gazes[:, :, None, 0], (away * gazes[:, :, None]).sum(-1)
    )
    cone = (1 - doubt) * torch.exp(-(angle**2) / (2 * spread**2)) + doubt
    return cone.log().sum(1).softmax(-1).unflatten(1, size)


class JointAttention(nn.Module):
    """People's tokens through a transformer, then a logit for each cell: [B, P, 4 + A] -> [B, h, w]. Untrained.

    A token holds place, gaze and action; the people's mean is one vector that tells their scene, and an MLP reads it
    beside the code of each cell's place, as an implicit function: any size (h, w) can be asked for. People have no
    order. (Nakatani, Kawashima and Ukita 2023: width 256 or less, heads by person are left out.)

    >>> with torch.random.fork_rng():
    ...     model = JointAttention(actions=3, width=16, heads=2)
    >>> model(torch.rand(1, 4, 2), torch.rand(1, 4, 2), torch.rand(1, 4, 3), (6, 8)).shape
    torch.Size([1, 6, 8])
    """

    def __init__(self, *, actions: int = 0, width: int = 128, heads: int = 4, depth: int = 2, octaves: int = 4) -> None:
        super().__init__()
        self.octaves = octaves
        coded = 4 * octaves + 2
        self.enter = nn.Linear(coded + 2 + actions, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.scene = nn.Linear(width, width)
        self.place = nn.Linear(coded, width)
        self.read = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(
        self, places: Tensor, gazes: Tensor, actions: Tensor | None, size: tuple[int, int]
    ) -> Float[Tensor, "b h w"]:
        """Logits over cells; actions [B, P, A], or None for a model without."""
        _check(places, gazes)
        told = [self.coded(places), gazes / gazes.norm(dim=-1, keepdim=True).clamp_min(1e-9)]
        tokens = self.enter(torch.cat(told if actions is None else [*told, actions], -1))
        for layer in self.layers:
            tokens = layer(tokens)
        scene = self.scene(tokens.mean(1))
        return self.read(scene[:, None] + self.place(self.coded(_cells(size, places))))[..., 0].unflatten(1, size)

    def coded(self, at: Float[Tensor, "... 2"]) -> Float[Tensor, "... c"]:
        """x, y and their sines and cosines at doubling frequencies."""
        phase = torch.cat([at * math.pi * 2**i for i in range(self.octaves)], -1)
        return torch.cat([at, phase.sin(), phase.cos()], -1)


def _cells(size: tuple[int, int], like: Tensor) -> Float[Tensor, "1 n 2"]:
    y, x = ((torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) / n for n in size)
    return torch.stack(torch.broadcast_tensors(x, y[:, None]), -1).flatten(0, 1)[None]


def _check(places: Tensor, gazes: Tensor) -> None:
    if places.shape != gazes.shape or places.ndim != 3 or places.shape[2] != 2:
        raise LayoutError(
            f"places {list(places.shape)}, gazes {list(gazes.shape)}", hint="[B, people, 2] each, x and y in 0..1"
        )
