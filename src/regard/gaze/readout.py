"""`Readout`: from a frozen network's patch features to the density of people's fixations.

    z = W3 s(W2 s(W1 LN(f)))      a few channels a patch, s = softplus
    log p = log_softmax over pixels of (G_sigma * up(z) + w log p_centre)

The blur, its width and the weight of the centre are learnt; only some 40,000 numbers are, and the network is left as it
is (Kümmerer, Wallis and Bethge 2016, "DeepGaze II"; here on patch features of a vision transformer).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

FINE = 4  # cells along a patch in which the blur is made
REACH = 3  # of the blur, in patches; a wider one is cut off


class Readout(nn.Module):
    """Densities of `slices` kinds out of patch features of `channels`; centre `[slices, h, w]`: their log priors."""

    log_centre: Tensor

    def __init__(self, channels: int, slices: int = 1, centre: Tensor | None = None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.first, self.second = nn.Linear(channels, 32), nn.Linear(32, 16)
        self.third = nn.Linear(16, slices, bias=False)
        self.log_sigma = nn.Parameter(torch.full((slices,), -0.5))  # of the blur, in patches
        self.weight = nn.Parameter(torch.ones(slices))
        self.register_buffer("log_centre", torch.zeros(slices, 1, 1) if centre is None else centre)

    def forward(self, features: Float[Tensor, "b h w c"], size: tuple[int, int]) -> Float[Tensor, "b s H W"]:
        """Log densities at a size (height, width): their exponentials sum to 1 over its pixels."""
        return laid_out(self.logits(features), self.weight, self.log_centre, size)

    def logits(self, features: Float[Tensor, "b h w c"]) -> Float[Tensor, "b s y x"]:
        """Before the centre: blurred, FINE cells along a patch."""
        hidden = F.softplus(self.second(F.softplus(self.first(self.norm(features)))))
        coarse = self.third(hidden).permute(0, 3, 1, 2)
        fine = F.interpolate(coarse, scale_factor=FINE, mode="bilinear", align_corners=False)
        return blur(fine, self.log_sigma.exp() * FINE)


def laid_out(
    logits: Float[Tensor, "b s y x"], weight: Float[Tensor, " s"], log_centre: Float[Tensor, "s u v"],
    size: tuple[int, int],
) -> Float[Tensor, "b s H W"]:  # fmt: skip
    """Logits and the centre's brought to a size, added, and made a density."""
    here, centre = (F.interpolate(x, size, mode="bilinear", align_corners=False) for x in (logits, log_centre[None]))
    return (here + weight[:, None, None] * centre).flatten(2).log_softmax(-1).unflatten(-1, size)


def blur(x: Float[Tensor, "b s y x"], sigma: Float[Tensor, " s"]) -> Float[Tensor, "b s y x"]:
    """Each channel by a Gaussian of its own width in cells, with a gradient for it; beyond the edge as at the edge."""
    reach = min(REACH * FINE, min(x.shape[2:]) - 1)
    at = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (at / sigma[:, None].clamp_min(1e-3)) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None]
    wide = F.pad(x, (reach,) * 4, mode="replicate")
    rows = F.conv2d(wide, kernel[:, :, None], groups=x.shape[1])
    return F.conv2d(rows, kernel[..., None], groups=x.shape[1])
