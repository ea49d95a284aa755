"""region-attention-rat works: attention inside the segments of a partition that comes from outside."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .arithmetic import dense, drawn, gap

H, W = 6, 7


def segments(seed: int) -> torch.Tensor:
    """Labels of 42 patches: the SLIC superpixel of a photo at each."""
    skimage = pytest.importorskip("skimage.segmentation")
    photo = rg.image("sample:coffee")[0].permute(1, 2, 0).double().numpy()
    found = torch.from_numpy(skimage.slic(photo, n_segments=4 + 3 * seed, start_label=0)).double()
    return F.interpolate(found[None, None], size=(H, W), mode="nearest")[0, 0].long().flatten()


@works("region-attention-rat")
@pytest.mark.parametrize("seed", range(3))
def test_equals_dense_attention_under_the_same_label_mask(seed: int) -> None:
    """To 1e-12, with gradients that cross no border; other numbers for the segments change nothing."""
    labels = segments(seed)
    q, k, v = (drawn(2, 2, H * W, 8, seed=10 * seed + i).requires_grad_() for i in range(3))
    same = labels[:, None] == labels
    assert 1 < len(labels.unique()) < H * W
    out = rg.attend(q, k, v, pattern=rg.patterns.regions((H, W), labels)).out
    assert gap(out.detach(), dense(q, k, v, same).detach()) < 1e-12
    for one in labels.unique():
        inside = labels == one
        for slope in torch.autograd.grad(out[:, :, inside].square().sum(), (k, v), retain_graph=True):
            assert bool((slope[:, :, ~inside] == 0).all())
            assert float(slope[:, :, inside].abs().max()) > 0
    renamed = torch.randperm(100, generator=torch.Generator().manual_seed(seed))[labels]
    assert torch.equal(rg.attend(q, k, v, pattern=rg.patterns.regions((H, W), renamed)).out, out)


@works("region-attention-rat")
def test_one_region_is_full_attention() -> None:
    q, k, v = (drawn(2, 2, H * W, 8, seed=i) for i in range(3))
    one = rg.patterns.regions((H, W), torch.zeros(H * W, dtype=torch.long))
    assert gap(rg.attend(q, k, v, pattern=one).out, dense(q, k, v)) < 1e-12


@works("region-attention-rat")
def test_without_focus_the_focal_loss_is_the_plain_one() -> None:
    """torchvision's: (1 - p)^gamma of hard places; 0 for gamma is cross entropy, more is less for what is easy."""
    focal = pytest.importorskip("torchvision.ops").sigmoid_focal_loss
    logits, truth = 3 * drawn(2, H * W), (drawn(2, H * W, seed=1) > 0).double()
    plain = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    assert gap(focal(logits, truth, alpha=-1, gamma=0), plain) < 1e-12
    missed = (torch.sigmoid(logits) - truth).abs()
    assert gap(focal(logits, truth, alpha=-1, gamma=2), missed**2 * plain) < 1e-12
