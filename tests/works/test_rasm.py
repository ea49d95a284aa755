"""rasm works: pixels of a shadow look at a neighbourhood that holds lit pixels too, and take their light from there."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import regard as rg
from regard.patterns import explicit, neighborhood
from regard.testing.marks import works

from .arithmetic import dense, drawn, gap

SIDE, WINDOW, DARK = 32, 21, 0.4
PHOTOS = ("astronaut", "chelsea", "coffee")


def shadowed(photo: str) -> tuple[Tensor, Tensor, Tensor]:
    """A photo `[3, 32, 32]`, the same under a shadow that takes 60 % of the light, and where the shadow lies."""
    lit = F.interpolate(rg.image(f"sample:{photo}").double(), size=(SIDE, SIDE), mode="area")[0].clamp_min(0.02)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    shade = (rows - 16) ** 2 / 40 + (columns - 14) ** 2 / 90 < 1
    return lit, torch.where(shade, DARK * lit, lit), shade


def restored(seen: Tensor, shade: Tensor, *, lit_keys: bool) -> Tensor:
    """Each pixel of the shadow takes the light of neighbours of its own hue: regional attention, nothing learnt.

    Queries and keys: hue, which a shadow leaves alone; values: log light. What a pixel lacks to the light that it is
    told is what the whole shadow lacks, so its mean over the shadow is given back to all of it.
    """
    hue = (seen / seen.sum(0)).flatten(1).T
    light = seen.sum(0).log().flatten()
    region = shade.flatten()
    regional = explicit((~region if lit_keys else region).expand(SIDE**2, -1), (SIDE, SIDE), (SIDE, SIDE))
    pattern = neighborhood((SIDE, SIDE), WINDOW) & regional
    scale = 4e3  # hues within 1 % count
    # -|a - b|^2 / 2 = a b - |b|^2 / 2, whose first part is the product and whose second is a number of the key
    q, k = torch.cat([hue, torch.ones(SIDE**2, 1)], 1), torch.cat([hue, -hue.square().sum(1, keepdim=True) / 2], 1)
    told = rg.attend(q[None, None], k[None, None], light[None, None, :, None], pattern=pattern, scale=scale)
    gain = (told.out.flatten() - light)[region & told.lse.flatten().isfinite()].mean().exp()
    return torch.where(shade, gain * seen, seen).clamp(0, 1)


def psnr(made: Tensor, truth: Tensor, where: Tensor) -> float:
    return -10 * math.log10(float((made - truth).square()[:, where].mean()))


@works("rasm")
@pytest.mark.parametrize("photo", PHOTOS)
def test_light_from_outside_of_the_shadow_restores_it(photo: str) -> None:
    """PSNR in the shadow: 8 to 37 dB over that of the input, where keys in the shadow alone change .2 dB at most."""
    lit, seen, shade = shadowed(photo)
    before = psnr(seen, lit, shade)
    regional, inside = (psnr(restored(seen, shade, lit_keys=lit_keys), lit, shade) for lit_keys in (True, False))
    assert regional > before + 6
    assert regional > inside + 6


@works("rasm")
def test_equals_dense_attention_under_the_mask() -> None:
    """To 1e-12: queries of the shadow see lit keys of their window, the others their window."""
    _, _, shade = shadowed("coffee")
    region = F.interpolate(shade[None, None].double(), size=(10, 11), mode="nearest").flatten() > 0
    q, k, v = (drawn(2, 2, 110, 8, seed=i) for i in range(3))
    window = neighborhood((10, 11), 7)
    allowed = ~region[:, None] | ~region[None]
    out = rg.attend(q, k, v, pattern=window & explicit(allowed, (10, 11), (10, 11))).out
    expected = dense(q, k, v, window.mask() & allowed).nan_to_num(0.0)
    assert 0 < int(region.sum()) < 110
    assert gap(out, expected) < 1e-12
