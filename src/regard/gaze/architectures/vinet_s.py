"""ViNet-S: a video encoder and a light decoder; the saliency of the clip's last moment."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class S3DLevels(nn.Module):
    """S3D without its last stage: clips [B, 3, T, H, W] -> 192 channels at 1/8, 480 at 1/8, 832 at 1/16 of the sides.

    32 frames of 224 x 384 give [832, 4, 14, 24].
    """

    channels = (192, 480, 832)

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.video import s3d

        self.layers = s3d(num_classes=1).features[:13]

    def forward(self, clip: Float[Tensor, "b 3 t H W"]) -> list[Tensor]:
        levels = []
        for number, layer in enumerate(self.layers):
            clip = layer(clip)
            if number in (3, 6, 12):
                levels.append(clip)
        levels[-1] = F.max_pool3d(levels[-1], (2, 1, 1))
        return levels


class ViNetS(nn.Module):
    """Clips [B, 3, T, H, W] -> logits [B, H, W] (Girmaji et al. 2025). Untrained.

    The deepest level is narrowed, enlarged between the lines (trilinear), joined with the next finer one, and so on;
    time is averaged away at the end. Convolutions of the decoder look at one frame, `widths` channels wide. With the
    S3D encoder 9.2 million weights, 36 MB as published; that the published decoder lays them out so is not claimed.

    >>> class Two(nn.Module):
    ...     channels = (4, 8)
    ...     def forward(self, clip):
    ...         small = clip.mean(1, keepdim=True).expand(-1, 8, -1, -1, -1)
    ...         return [F.avg_pool3d(small[:, :4], 2), F.avg_pool3d(small, 4)]
    >>> with torch.random.fork_rng():
    ...     ViNetS(Two(), widths=(4,))(torch.rand(1, 3, 4, 16, 24)).shape
    torch.Size([1, 16, 24])
    """

    def __init__(self, encoder: nn.Module | None = None, *, widths: tuple[int, ...] = (384, 192)) -> None:
        super().__init__()
        self.encoder = encoder if encoder is not None else S3DLevels()
        channels: tuple[int, ...] = self.encoder.channels  # type: ignore[assignment]
        self.narrow = nn.ModuleList()
        wide = channels[-1]
        for skip, few in zip(reversed(channels[:-1]), widths, strict=True):
            self.narrow.append(nn.Conv3d(wide, few, (1, 3, 3), padding=(0, 1, 1)))
            wide = few + skip
        self.last = nn.Sequential(
            nn.Conv3d(wide, 32, (1, 3, 3), padding=(0, 1, 1)), nn.ReLU(), nn.Conv3d(32, 1, (1, 3, 3), padding=(0, 1, 1))
        )  # fmt: skip

    def forward(self, clip: Float[Tensor, "b 3 t H W"]) -> Float[Tensor, "b H W"]:
        """Logits of where people look at the end of the clip."""
        size = clip.shape[-2:]
        levels = self.encoder(clip)
        x = levels[-1]
        for narrow, skip in zip(self.narrow, reversed(levels[:-1]), strict=True):
            x = F.interpolate(narrow(x).relu(), size=skip.shape[2:], mode="trilinear", align_corners=False)
            x = torch.cat([x, skip], 1)
        x = self.last(x).mean(2)
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)[:, 0]


def ensemble(logits: list[Tensor]) -> Float[Tensor, "b h w"]:
    """The mean of the densities of several models: it sums to 1 as each of them does.

    >>> float(ensemble([torch.rand(1, 3, 4), torch.rand(1, 3, 4)]).sum().round(decimals=5))
    1.0
    """
    return torch.stack([one.flatten(1).softmax(-1).view_as(one) for one in logits]).mean(0)


def clips(video: Float[Tensor, "t 3 H W"], length: int = 32) -> Float[Tensor, "t 3 l H W"]:
    """For each frame the clip that ends with it; before the first frame the first is repeated: no future is seen.

    >>> clips(torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 1, 1), 2)[:, 0, :, 0, 0].tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 2.0]]
    """
    at = (torch.arange(len(video))[:, None] - torch.arange(length - 1, -1, -1)).clamp_min(0)
    return video[at].transpose(1, 2)
