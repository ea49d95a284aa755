"""`Removal`: scores of pictures without some of their cells; pixels are replaced by a baseline, or tokens left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.errors import CallError, LayoutError
from regard.progress import track
from regard.subjects.bank import BATCH
from regard.subjects.cells import Cells
from regard.subjects.drop import TokenDrop
from regard.subjects.scorer import Scorer

Baseline = Literal["blur", "mean", "black", "white", "uniform", "drop"]
ON_ACCELERATOR = 64  # pictures at a time to begin with; halved where memory refuses
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class Removal:
    """`removal(keep)` gives the score of each picture with only the cells that stay, `[n, B]` in float64.

    keep `[n, cells]`: for all pictures alike; `[n, B, cells]`: for each. baseline: what stands in for a cell that is
    gone (see `baseline_picture`), pictures of x's shape, or "drop": a vision transformer runs on the tokens of the
    cells that stay alone. Batches are halved when memory refuses them.
    Raises CallError where tokens cannot be left out.
    """

    def __init__(
        self,
        score: Scorer,
        cells: Cells,
        baseline: Baseline | Tensor = "blur",
        generator: torch.Generator | None = None,
    ) -> None:
        self.score, self.cells = score, cells
        self.pictures = len(score.on.x)
        self.size = max(1, (BATCH if score.on.x.device.type == "cpu" else ON_ACCELERATOR) // self.pictures)
        dropping = isinstance(baseline, str) and baseline == "drop"
        self._drop = TokenDrop(score, cells) if dropping else None
        if isinstance(baseline, Tensor):
            self._replaced: Tensor | None = baseline
        else:
            self._replaced = None if self._drop else score.baseline(baseline, generator)

    @property
    def whole(self) -> Float[Tensor, " b"]:
        """Scores of the pictures as they are."""
        return self.score.value.double()

    def __call__(self, keep: Bool[Tensor, "n *b cells"]) -> Float[Tensor, "n b"]:
        if keep.shape[-1] != self.cells.count:
            raise LayoutError(f"masks of {keep.shape[-1]} cells for {self.cells.count}", hint="[n, cells], bool")
        keep = keep.to(self.score.on.x.device)
        each = keep if keep.ndim == 3 else keep[:, None].expand(-1, self.pictures, -1)
        if self._drop is None:
            return torch.cat(list(track(self._parts(each, self._composed), "masked pictures", total=self._steps(each))))
        kept = self._drop.kept(each)
        found = each.new_zeros(each.shape[:2], dtype=torch.float64)
        for count in kept.unique().tolist():  # as many tokens for all of a batch
            at = (kept == count).nonzero()[:, 0]
            parts = track(self._parts(each[at], self._drop), "shortened pictures", total=self._steps(at))
            found[at] = torch.cat(list(parts)).to(found)
        return found

    def _steps(self, masks: Tensor) -> int:
        return -(-len(masks) // self.size)

    def _parts(self, keep: Tensor, scores: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
        start = 0
        while start < len(keep):
            part = keep[start : start + self.size]
            try:
                with torch.no_grad():
                    made = scores(part).double().cpu().view(len(part), self.pictures)
            except RuntimeError as error:
                if not any(words in str(error) for words in OUT_OF_MEMORY):
                    raise
                if self.size == 1:
                    raise CallError("memory does not hold one masked picture", hint="smaller pictures") from error
                self.size //= 2
                continue
            start += len(part)
            yield made

    def _composed(self, keep: Tensor) -> Tensor:
        """Pictures with the cells that stay, the baseline elsewhere."""
        assert self._replaced is not None
        x = self.score.on.x
        labels = self.cells.labels.flatten(1).expand(len(keep), -1, -1)
        stays = keep.gather(2, labels).view(len(keep), len(x), 1, *x.shape[2:])
        return self.score.plain(torch.where(stays, x, self._replaced).flatten(0, 1))
