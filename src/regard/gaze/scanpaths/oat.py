"""OAT: a transformer over objects instead of pixels, whose decoder points at the object that is looked at next."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import LayoutError

Objects = Float[Tensor, "b n f"]
Places = Float[Tensor, "b n 2"]


class PlaceCode(nn.Module):
    """Position -> vector of length 1 whose product with another falls with the distance between the two places.

    [cos(w p), sin(w p)] / sqrt(K) for K learned frequencies w, drawn from a normal of `1 / reach`: at first the
    product is about exp(-d^2 / (2 reach^2)).

    >>> code = PlaceCode(64, reach=0.5)(torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.9, 0.0]]))
    >>> bool(code[0] @ code[1] > code[0] @ code[2])
    True
    """

    def __init__(self, width: int, *, reach: float = 0.35, seed: int = 0) -> None:
        super().__init__()
        drawn = torch.randn(width // 2, 2, generator=torch.Generator().manual_seed(seed))
        self.frequencies = nn.Parameter(drawn / reach)

    def forward(self, at: Float[Tensor, "... 2"]) -> Float[Tensor, "... c"]:
        phase = at @ self.frequencies.T
        return torch.cat([phase.cos(), phase.sin()], -1) / len(self.frequencies) ** 0.5


class OAT(nn.Module):
    """Objects, their places and a target in; logits over objects for each step of the path out. Untrained.

    Encoder: self-attention over object tokens (appearance + place + target). Decoder: the fixated objects in order,
    causal self-attention, attention to the objects, and a product with the encoder's tokens as a pointer. The place
    of the object that was looked at last meets every object's place in a learned multiple of the codes' product.
    Published size: width 512, 2 heads, 6 + 6 layers; Adam 1e-4, 20 searches a batch.

    >>> with torch.random.fork_rng():
    ...     model = OAT(features=5, width=16, heads=2, depth=1).eval()
    >>> model(torch.rand(1, 4, 5), torch.rand(1, 4, 2), torch.rand(1, 5), torch.tensor([[2, 0]])).shape
    torch.Size([1, 3, 4])
    """

    def __init__(self, features: int, *, width: int = 512, heads: int = 2, depth: int = 6, reach: float = 0.35) -> None:
        super().__init__()
        self.appearance, self.target = nn.Linear(features, width), nn.Linear(features, width)
        self.place, self.near = PlaceCode(width, reach=reach), nn.Parameter(torch.zeros(()))
        self.start = nn.Parameter(0.02 * torch.randn(width))

        def options(kind: type[nn.Module]) -> nn.Module:
            return kind(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)

        self.encoder = nn.ModuleList(options(nn.TransformerEncoderLayer) for _ in range(depth))
        self.decoder = nn.ModuleList(options(nn.TransformerDecoderLayer) for _ in range(depth))
        self.norm, self.read = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, objects: Tensor, places: Tensor, target: Tensor, path: Tensor) -> Float[Tensor, "b t1 n"]:
        """Logits over the n objects for each of t + 1 steps: before any fixation, and after each of `path`.

        places: x and y in 0..1; path: indices of the objects looked at. Objects have no order: permuting them
        permutes the logits.
        """
        if places.shape[:2] != objects.shape[:2] or path.shape[0] != objects.shape[0]:
            raise LayoutError(
                f"objects {list(objects.shape)}, places {list(places.shape)}, path {list(path.shape)}",
                hint="[B, n, F], [B, n, 2] and [B, t]",
            )
        code = self.place(places)
        tokens = self.appearance(objects) + code + self.target(target)[:, None]
        for layer in self.encoder:
            tokens = layer(tokens)
        tokens = self.norm(tokens)
        pick = path[..., None].expand(-1, -1, tokens.shape[-1])
        seen = torch.cat([self.start.expand(len(path), 1, -1), tokens.gather(1, pick)], 1)
        steps = seen.shape[1]
        later = torch.ones(steps, steps, dtype=torch.bool, device=seen.device).triu(1)
        for layer in self.decoder:
            seen = layer(seen, tokens, tgt_mask=later)
        logits = self.read(seen) @ tokens.mT / tokens.shape[-1] ** 0.5
        nearness = torch.cat([torch.zeros_like(logits[:, :1]), code.gather(1, pick) @ code.mT], 1)
        return logits + self.near * nearness

    def log_likelihood(
        self, objects: Objects, places: Places, target: Float[Tensor, "b f"], path: Int[Tensor, "b t"]
    ) -> Float[Tensor, "b t"]:
        """Log probability of each object of a path, given those before it."""
        logits = self(objects, places, target, path[:, :-1])
        return F.log_softmax(logits, -1).gather(2, path[..., None])[..., 0]

    @torch.no_grad()
    def walk(
        self, objects: Objects, places: Places, target: Float[Tensor, "b f"], *, fixations: int, again: bool = False
    ) -> Int[Tensor, "b t"]:
        """The likeliest object at each step, none twice unless `again`."""
        path = torch.empty(len(objects), 0, dtype=torch.long, device=objects.device)
        shut: Bool[Tensor, "b n"] = torch.zeros(objects.shape[:2], dtype=torch.bool, device=objects.device)
        for _ in range(min(fixations, objects.shape[1]) if not again else fixations):
            logits = self(objects, places, target, path)[:, -1]
            chosen = logits.masked_fill(shut, -torch.inf).argmax(-1, keepdim=True)
            path = torch.cat([path, chosen], 1)
            if not again:
                shut.scatter_(1, chosen, True)
        return path
