"""What randomisation metrics share: how alike two maps are, and a model whose layers are drawn anew."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.subjects.controls import shuffle

Measure = Literal["rank", "absolute rank", "ssim"]
MEASURES = ("rank", "absolute rank", "ssim")


def alike(one: Float[Tensor, "h w"], others: Float[Tensor, "n h w"], measure: Measure) -> Float[Tensor, " n"]:
    """Spearman's correlation of values, of their sizes, or the structural similarity of both scaled to 0..1.

    0 where one of the two is constant.
    """
    if measure == "ssim":
        return torch.stack([_ssim(_unit(one), _unit(other)) for other in others])
    if measure == "absolute rank":
        one, others = one.abs(), others.abs()
    a, b = _ranks(one.flatten()[None]), _ranks(others.flatten(1))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    size = (a.square().sum(1) * b.square().sum(1)).sqrt()
    return torch.where(size > 0, (a * b).sum(1) / size.clamp_min(1e-300), 0.0)


def _ranks(values: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """Ranks from 0, those of equal values averaged."""
    rows = []
    for row in values:
        _, index, count = row.unique(return_inverse=True, return_counts=True)
        ends = count.cumsum(0).double()
        rows.append((ends - (count + 1) / 2)[index])
    return torch.stack(rows)


def _unit(values: Tensor) -> Tensor:
    low, high = values.amin(), values.amax()
    return ((values - low) / (high - low).clamp_min(1e-300)).double()


def _ssim(a: Tensor, b: Tensor) -> Tensor:
    from skimage.metrics import structural_similarity

    side = min(7, *a.shape)
    side -= 1 - side % 2
    return torch.tensor(float(structural_similarity(a.numpy(), b.numpy(), data_range=1.0, win_size=max(3, side))))


def layers_of(model: nn.Module) -> list[str]:
    """Modules with weights of their own, those nearest to the output first: the order of a cascade."""
    named = [name for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]
    return named[::-1]


def randomised(
    model: nn.Module, layers: Sequence[str], generator: torch.Generator, *, cascade: bool
) -> Iterator[tuple[str, nn.Module]]:
    """Copies of a model with a layer's weights in random places: one layer each, or all from the output down to it."""
    twin = copy.deepcopy(model)
    for name in layers:
        if not cascade:
            twin = copy.deepcopy(model)
        shuffle(twin.get_submodule(name).parameters(recurse=False), generator)
        yield name, twin
