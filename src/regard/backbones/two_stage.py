"""Two stages: the first says which patches count, the second sees no others; so its mask is the explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from regard.backbones._vit import ViT
from regard.errors import LayoutError


@dataclass(frozen=True)
class Parts:
    """What the first stage found: shares of parts in each patch, as logarithms, the background last; its own logits."""

    log_shares: Float[Tensor, "b parts h w"]
    hard: Float[Tensor, "b parts h w"]
    logits: Float[Tensor, "b classes"]

    @property
    def shares(self) -> Float[Tensor, "b parts h w"]:
        """How far each patch is of each part; they sum to 1 over the parts."""
        return self.log_shares.exp()

    @property
    def mask(self) -> Bool[Tensor, "b h w"]:
        """Patches that are of some part, which the second stage sees."""
        return self.hard[:, -1] < 0.5


class TwoStage(nn.Module):
    """`TwoStage(classes)(x)` are logits `[B, classes]` of the patches that `find(x).mask` keeps, and of nothing else.

    Stage 1: a_nk = softmax_k(-|f_n - p_k|^2), f the tokens of a ViT, p_k prototypes of parts and of the background; a
    patch goes to its largest, in training straight through. Stage 2: another ViT whose attention
    leaves out the keys of the background in every layer (CLS stays), read at CLS. In eval mode a pixel of a patch that
    is not kept changes no bit of the logits, given the mask.

    Our shares, mask: part maps and foreground mask of the paper. Differs: small ViTs trained from nothing in the place
    of DINOv2, the first of one layer and without places, so that what is background along the border is so anywhere;
    patches are masked at test time and not dropped, which gives the same; no Gumbel noise, by which the second stage
    saw patches of the background in training and leant on them; no equivariance loss; some part is in every picture.
    Weights come from torch's global random state, as everywhere in torch.nn.
    Source: Aniraj et al. 2025, "Inherently Faithful Attention Maps for Vision Transformers", section 3.

    >>> import torch
    >>> from regard.backbones import TwoStage
    >>> with torch.random.fork_rng(devices=[]):
    ...     net = TwoStage(2).eval()
    >>> x = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    >>> net(x).shape, net.find(x).mask.shape
    (torch.Size([1, 2]), torch.Size([1, 8, 8]))
    """

    def __init__(
        self, classes: int, *, parts: int = 2, side: int = 32, patch: int = 4, width: int = 32, depth: int = 2,
        heads: int = 2,
    ) -> None:  # fmt: skip
        super().__init__()
        if side % patch or width % heads or parts < 1:
            raise LayoutError(
                f"{parts} parts on pictures of {side} in patches of {patch}, width {width} of {heads} heads",
                hint="at least one part; sides that divide",
            )
        self.first = ViT(side, patch, width, 1, heads, placed=False)
        self.second = ViT(side, patch, width, depth, heads)
        self.prototypes = nn.Parameter(0.1 * torch.randn(parts + 1, width))
        self.by_parts, self.head = nn.Linear(width, classes), nn.Linear(width, classes)

    def find(self, x: Float[Tensor, "b 3 H W"]) -> Parts:
        """Stage 1."""
        tokens = self.first(x)[:, 1:]
        near = -torch.cdist(tokens, self.prototypes).square()
        logs = near.log_softmax(2)
        shares = logs.exp()
        hard = F.one_hot(shares.argmax(2), shares.shape[2]).to(shares)
        hard = hard + shares - shares.detach() if self.training else hard
        seen = shares[..., :-1].transpose(1, 2)
        pooled = (seen @ tokens) / seen.sum(2, keepdim=True).clamp_min(1e-6)
        side = int(tokens.shape[1] ** 0.5)
        on_grid = [one.mT.unflatten(2, (side, side)) for one in (logs, hard)]
        return Parts(on_grid[0], on_grid[1], self.by_parts(pooled.mean(1)))

    def see(
        self, x: Float[Tensor, "b 3 H W"], parts: Parts, *, without: Sequence[int] = ()
    ) -> Float[Tensor, "b classes"]:
        """Stage 2 on the patches of some parts; without: parts whose patches are taken away too."""
        gone = [parts.hard.shape[1] - 1, *without]
        kept = 1 - parts.hard[:, gone].sum(1).flatten(1)
        tokens = self.second(x, kept if self.training else kept > 0.5)
        logits: Tensor = self.head(tokens[:, 0])
        return logits

    def forward(self, x: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b classes"]:
        return self.see(x, self.find(x))

    def loss(self, x: Float[Tensor, "b 3 H W"], labels: Int[Tensor, " b"]) -> Float[Tensor, ""]:
        """Cross-entropy of both stages, and what makes parts: smooth maps, patches of one part each, prototypes at
        right angles, every part somewhere in the batch, some part in every picture, the background along its border.
        """
        parts = self.find(x)
        logs, shares = parts.log_shares, parts.shares
        border = torch.ones_like(shares[0, 0], dtype=torch.bool)
        border[1:-1, 1:-1] = False
        rough = shares.diff(dim=2).abs().mean() + shares.diff(dim=3).abs().mean()
        unsure = -(shares * logs).sum(1).mean()
        unit = F.normalize(self.prototypes, dim=1)
        alike = (unit @ unit.T - torch.eye(len(unit), device=unit.device)).square().mean()
        fore = logs[:, :-1].logsumexp(1).flatten(1).amax(1).mean() + logs[:, :-1].flatten(2).amax((0, 2)).mean()
        absent = -fore - 3 * logs[:, -1][:, border].mean()
        guided = F.cross_entropy(self.see(x, parts), labels) + F.cross_entropy(parts.logits, labels)
        return guided + rough + 0.1 * unsure + alike + absent
