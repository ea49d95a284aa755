"""`Detection`: one object that a detector found, as a target: how well what it finds in other pictures agrees with it.

A detector gives for each picture a mapping with `boxes` `[n, 4]` (left, top, right, bottom) and either
`probabilities` `[n, C]`, or `labels` and `scores` `[n]` as torchvision's detectors do; `objectness` `[n]` if there is
one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError

HINT = "for each picture a mapping with boxes [n, 4] and probabilities [n, C], or labels and scores [n]"
Found = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Detection:
    """`detection(found)` gives the best similarity with it among what was found in each picture, `[B]`.

    s = max over found d of IoU(box, d.box) * cos(probabilities, d.probabilities) * objectness of d; 0 where nothing
    was found. The similarity with itself is its objectness. Raises LayoutError for a box without an area.
    """

    box: Float[Tensor, " 4"]
    probabilities: Float[Tensor, " C"]

    def __post_init__(self) -> None:
        if self.box.shape != (4,) or self.probabilities.ndim != 1 or not bool((self.box[2:] > self.box[:2]).all()):
            raise LayoutError(
                f"a detection with box {self.box.tolist()} and probabilities {list(self.probabilities.shape)}",
                hint="box [left, top, right, bottom] in pixels of some area, probabilities [C]",
            )

    @property
    def __name__(self) -> str:
        left, top, right, bottom = (round(v) for v in self.box.tolist())
        return f"class {int(self.probabilities.argmax())} in {left},{top}..{right},{bottom}"

    @classmethod
    def of(cls, found: Found, index: int = 0, *, picture: int = 0, classes: int | None = None) -> Detection:
        """Number `index` of what a detector found in a picture. classes: how many, where it gives labels alone."""
        _check(found)
        one = found[picture]
        if not 0 <= index < len(one["boxes"]):
            raise LayoutError(f"detection {index} of {len(one['boxes'])}", hint="one that was found in this picture")
        label = one.get("labels")
        count = classes or (int(label.max()) + 1 if label is not None else 1)
        return cls(one["boxes"][index].detach(), vectors(one, count)[index].detach())

    def __call__(self, found: Found) -> Float[Tensor, " b"]:
        _check(found)
        return torch.stack([self._best(one) for one in found])

    def _best(self, one: Mapping[str, Any]) -> Tensor:
        boxes = one["boxes"]
        if not len(boxes):
            return self.box.new_zeros(())
        box, own = self.box.to(boxes), self.probabilities.to(boxes)
        same = F.cosine_similarity(vectors(one, len(own)), own[None], dim=1)
        sure = one["objectness"] if one.get("objectness") is not None else boxes.new_ones(len(boxes))
        return (overlap(box, boxes) * same * sure).amax()


def overlap(box: Float[Tensor, " 4"], boxes: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    """Intersection over union of one box with each of others."""
    shared = (torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])).clamp_min(0).prod(1)
    area = (box[2:] - box[:2]).prod()
    return shared / (area + (boxes[:, 2:] - boxes[:, :2]).prod(1) - shared).clamp_min(1e-12)


def vectors(one: Mapping[str, Any], classes: int) -> Float[Tensor, "n C"]:
    """Class probabilities of each detection; of a label and its score, the score at the label's place.

    Where only a label is known the cosine is 1 for the same class and 0 for another.
    """
    if one.get("probabilities") is not None:
        found: Tensor = one["probabilities"]
        return found
    inside = one["labels"] < classes
    placed = F.one_hot(one["labels"].clamp_max(classes - 1), classes).to(one["boxes"])
    return placed * (one["scores"] * inside)[:, None]


def _check(found: object) -> None:
    """Refuse what is not a list of detections."""
    good = isinstance(found, list | tuple) and all(
        isinstance(one, Mapping) and "boxes" in one and ("probabilities" in one or {"labels", "scores"} <= set(one))
        for one in found
    )
    if not good:
        raise LayoutError(f"a detector that gives {type(found).__name__}", hint=HINT)
