"""fido-counterfactual works: with the in-fill that the pictures' own field gives, a smaller region than blur."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

import regard as rg
from regard.testing.marks import works

SIDE, EDGE, LENGTH = 16, 6, 1.2
PLACES = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).double()
COVARIANCE = torch.exp(-torch.cdist(PLACES, PLACES).square() / (2 * LENGTH**2)) + 1e-3 * torch.eye(SIDE**2).double()


def conditional(pictures: Tensor, kept: Tensor) -> Tensor:
    """The mean of a Gaussian field given the pixels that stay: S_gk S_kk^-1 x_k."""
    made = pictures.clone()
    for picture, stays in zip(made, kept[:, 0].flatten(1), strict=True):
        flat = picture.view(-1)
        gone = ~stays
        solved = torch.linalg.solve(COVARIANCE[stays][:, stays], flat[stays]) if bool(stays.any()) else flat[stays]
        flat[gone] = COVARIANCE[gone][:, stays] @ solved
    return made


def blurred(pictures: Tensor, kept: Tensor) -> Tensor:
    return gaussian_blur(pictures, [13, 13], [2.0, 2.0])  # half of the square's mean stays


class Bump(nn.Module):
    """The mean of one square, which a bump on the field raises."""

    def __init__(self, top: int, left: int) -> None:
        super().__init__()
        self.rows, self.columns = slice(top, top + EDGE), slice(left, left + EDGE)

    def forward(self, x: Tensor) -> Tensor:
        y = x[:, 0, self.rows, self.columns].mean((1, 2))
        return torch.stack([-y, y], 1)


@works("fido-counterfactual")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_fields_own_infill_needs_a_smaller_region_than_blur(seed: int) -> None:
    """The pixels most likely dropped first, until half of the score is gone: over the evidence, and fewer of them.

    For a fifth of the score blur needs fewer pixels (16 against 24 or so): a pixel that goes alone is drawn in again
    from its neighbours. A blur over a quarter of the picture does as well as the field.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(SIDE**2, generator=generator, dtype=torch.float64)
    x = 0.3 * (torch.linalg.cholesky(COVARIANCE) @ noise).view(1, 1, SIDE, SIDE)
    top, left = torch.randint(1, SIDE - EDGE, (2,), generator=generator).tolist()
    truth = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    truth[top : top + EDGE, left : left + EDGE] = True
    x = x + 2.0 * truth
    model = Bump(top, left)
    whole = float(model(x)[0, 1])
    needed = {}
    for fill in (conditional, blurred):
        method = partial(rg.explainers.fido, infill=fill, side=SIDE, steps=200, samples=4, area=0.2)
        order = (
            torch.from_numpy(rg.explain(model, x, method=method, target=1).values).flatten().argsort(descending=True)
        )
        for level in (0.5, 0.6):
            for count in range(1, SIDE**2):
                stays = torch.ones(SIDE**2, dtype=torch.bool)
                stays[order[:count]] = False
                stays = stays.view(1, 1, SIDE, SIDE)
                if float(model(torch.where(stays, x, fill(x, stays)))[0, 1]) <= (1 - level) * whole:
                    break
            needed[fill, level] = order[: count + 1]
    region = torch.zeros(SIDE**2, dtype=torch.bool)
    region[needed[conditional, 0.5]] = True
    region = region.view(SIDE, SIDE)
    assert float((region & truth).sum() / (region | truth).sum()) > 0.7
    for level in (0.5, 0.6):
        assert len(needed[conditional, level]) < len(needed[blurred, level])
