from __future__ import annotations

import torch
from torch.nn import functional as F

from regard.explainers.rise import smooth_masks

from .models import Linear, draw, explained, values


def test_equals_the_weighted_sum_of_cosines_with_the_fixed_embedding() -> None:
    model, x, other = Linear((3, 9, 8), classes=6), draw(2, 3, 9, 8, seed=4), draw(1, 3, 9, 8, seed=5)
    fixed = model(other)[0].detach()
    made = explained(model, x, "sane", target=fixed, forwards=13, cells=3)
    generator = torch.Generator().manual_seed(0)
    masks = torch.cat([smooth_masks(min(8, 13 - at), 3, 0.5, x, generator) for at in range(0, 13, 8)])
    for b in range(2):
        s = torch.stack([F.cosine_similarity(model(x[b : b + 1] * mask)[0], fixed, dim=0) for mask in masks]).detach()
        torch.testing.assert_close(values(made)[b], (s[:, None, None] * masks).sum(0) / masks.sum(0) - s.mean())
    assert made.target == "cosine with an embedding"


def test_a_picture_matches_itself_wholly() -> None:
    model, x = Linear((3, 9, 8), classes=6), draw(1, 3, 9, 8, seed=4)
    whole = explained(model, x, "occlusion", target=model(x)[0].detach(), cells=2)
    assert (values(whole) >= 0).all()  # nothing that is taken away makes it more like itself
