"""Polyphase anchoring: a picture rolled to where it says itself that its grid begins."""

from __future__ import annotations

import torch

from regard.errors import LayoutError
from regard.operators._shared import Images, check_float
from regard.registry import method


@method(
    "operators",
    paper="shift-equivariant-vit",
    claim="anchoring a rolled picture gives the same picture, but for a roll by whole strides",
    source="adaptive polyphase anchoring: the phase of the largest norm comes first",
    needs={"images"},
    differs="none",
    unit="values",
)
def anchor(images: Images, *, stride: int = 4) -> Images:
    """Roll each picture so that the strongest of its stride x stride phases lies at the corner.

    Phase (a, b) of x is x[a::stride, b::stride]; the one with the largest norm over channels is rolled to (0, 0).
    Whatever samples every stride pixels next (patches, windows, pooling) then cuts a rolled picture into the same
    cells, in a rolled order.

    images [B, C, h, w]; gives [B, C, h, w]. A map of tokens is such an image, too: with its windows' side as stride.

    Raises LayoutError where stride does not divide h and w. Source: Ding et al. 2023, "Reviving Shift Equivariance in
    Vision Transformers".

    >>> import regard as rg, torch
    >>> x = torch.randn(1, 3, 8, 8)
    >>> one, other = (rg.operators.anchor(y) for y in (x, x.roll((4, -4), (2, 3))))
    >>> torch.equal(one.roll((4, -4), (2, 3)), other)
    True
    """
    check_float("images", images, "B, C, h, w")
    h, w = images.shape[2:]
    if stride < 1 or h % stride or w % stride:
        raise LayoutError(f"stride {stride} for {h} x {w}", hint="a stride that divides both sides")
    energy = images.detach().square().sum(1).unflatten(2, (-1, stride)).unflatten(1, (-1, stride)).sum((1, 3))
    strongest = energy.flatten(1).argmax(-1)
    down, right = strongest // stride, strongest % stride
    rows = (torch.arange(h, device=images.device) + down[:, None]) % h
    columns = (torch.arange(w, device=images.device) + right[:, None]) % w
    return images.take_along_dim(rows[:, None, :, None], 2).take_along_dim(columns[:, None, None], 3)
