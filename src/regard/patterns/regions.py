"""Regions: tokens see those of their own region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.patterns._pattern import Held, Pattern
from regard.patterns._space import Place, Space, as_space
from regard.registry import method


@method(
    "patterns",
    paper="rasm",
    claim="one region is dense; other numbers for the regions change nothing",
    source="regional attention, section 3.3",
    needs=(),
    differs="regions are given as labels",
    unit="pairs",
)
def regions(
    queries: Place, labels: Tensor | Sequence[int], keys: Place | None = None,
    key_labels: Tensor | Sequence[int] | None = None,
) -> Pattern:  # fmt: skip
    """Query i sees key j where their labels are the same: a segmentation, superpixels, documents packed in a row.

    labels: whole numbers, one for each token of the space without its prefix, in any shape. keys, key_labels: of
    another space (the same region of another picture); a label that no key has leaves its queries without keys.

    Raises LayoutError for another number of labels. Source: Liu et al. 2024, "Regional Attention for Shadow Removal".

    >>> import regard as rg
    >>> rg.patterns.regions(4, [5, 5, 7, 5]).mask().int()[0]
    tensor([1, 1, 0, 1], dtype=torch.int32)
    """
    space = as_space(queries)
    own = _checked(labels, space)
    if (keys is None) != (key_labels is None):
        raise LayoutError("keys of another space need their labels, and labels their space", hint="both, or neither")
    other = space if keys is None else as_space(keys)
    theirs = own if key_labels is None else _checked(key_labels, other)
    return Pattern(f"regions({space}, {len(own.tensor.unique())})", space, other, Regions(own, theirs))


@dataclass(frozen=True)
class Regions:
    """A pair of tokens with one label."""

    queries: Held
    keys: Held

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        return self.queries.tensor.to(query.device)[query] == self.keys.tensor.to(key.device)[key]


def _checked(labels: Tensor | Sequence[int], space: Space) -> Held:
    given = torch.as_tensor(labels)
    if given.is_floating_point() or given.numel() != space.body:
        raise LayoutError(f"{given.numel()} labels {given.dtype} for space {space}", hint=f"{space.body} whole numbers")
    return Held(given.flatten().long())
