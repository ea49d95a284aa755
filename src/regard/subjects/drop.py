"""`TokenDrop`: a vision transformer on some of its patch tokens alone. Exact: it equals masking the others' keys.

The tokens of cells that are gone are taken out after positions were added and before the first block. What a model
makes of positions later on (windows, relative positions, rotations) would then be wrong, and so would a head that
averages over tokens: one mask is held against masked keys first, and a model that differs is refused.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from regard.core.scope import addresses
from regard.errors import CallError
from regard.layout import Grid
from regard.subjects.cells import Cells
from regard.subjects.scorer import Scorer

TOLERANCE = 1e-3  # of the score's own size: what float32 leaves of an exact identity
PLACES = ("patch_drop", "embeddings")  # timm, transformers
HINT = "a baseline of pixels: baseline='blur'"


class TokenDrop:
    """`drop(keep)` gives the scores of pictures whose other tokens were left out; as many stay in each."""

    def __init__(self, score: Scorer, cells: Cells) -> None:
        grid = score.grid
        if grid is None or not grid.prefix:
            raise CallError("tokens cannot be left out: the model has no patch tokens beside a class token", hint=HINT)
        if cells.grid is None:
            raise CallError("tokens cannot be left out by segments, which differ between pictures", hint=HINT)
        self.score, self.grid, self.cells = score, grid, cells
        self.at = _patches_of(cells, grid)
        self.module = _place(score.on.model, grid)
        self._check()

    def kept(self, keep: Bool[Tensor, "n b cells"]) -> Int[Tensor, " n"]:
        """How many patch tokens stay under each mask."""
        return keep[:, 0, self.at].sum(1)

    def __call__(self, keep: Bool[Tensor, "n b cells"]) -> Float[Tensor, " nb"]:
        stays = keep[:, :, self.at].flatten(0, 1)
        chosen = stays.nonzero()[:, 1].view(len(stays), -1) + self.grid.prefix
        prefix = torch.arange(self.grid.prefix, device=chosen.device).expand(len(stays), -1)
        index = torch.cat([prefix, chosen], 1)

        def leave_out(module: nn.Module, given: Any, out: Any) -> Any:
            tokens = out[0] if isinstance(out, tuple) else out
            fewer = tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[2]))
            return (fewer, *out[1:]) if isinstance(out, tuple) else fewer

        self.score.value  # noqa: B018 - the target is found on whole pictures
        hook = self.module.register_forward_hook(leave_out)
        x = self.score.on.x
        try:
            return self.score.plain(x.expand(len(keep), *x.shape).flatten(0, 1), index)
        finally:
            hook.remove()

    def masked(self, keep: Bool[Tensor, "n b cells"]) -> Float[Tensor, " nb"]:
        """The oracle: all tokens, but no block may look at those that are gone."""
        stays = keep[:, :, self.at].flatten(0, 1)
        return self.score.keeping(torch.cat([stays.new_ones(len(stays), self.grid.prefix), stays], 1))

    def _check(self) -> None:
        half = torch.arange(self.cells.count, device=self.at.device) % 2 == 0
        keep = half.expand(1, len(self.score.on.x), -1)
        with torch.no_grad():
            try:
                short, full = self(keep), self.masked(keep)
            except RuntimeError as error:
                raise CallError(f"the model does not run on some of its tokens ({error})", hint=HINT) from error
        size = torch.stack([self.score.value, full]).abs().amax()
        if not torch.allclose(short, full, rtol=TOLERANCE, atol=TOLERANCE * float(size)):
            raise CallError(
                f"leaving tokens out is not the same as masking them here ({float(short[0]):.4g} against "
                f"{float(full[0]):.4g}): positions or an average are made of all tokens",
                hint=HINT,
            )


def _patches_of(cells: Cells, grid: Grid) -> Int[Tensor, " patches"]:
    """The cell at the middle of each patch."""
    height, width = cells.labels.shape[1:]
    rows = ((torch.arange(grid.h) * 2 + 1) * height // (2 * grid.h)).to(cells.labels.device)
    columns = ((torch.arange(grid.w) * 2 + 1) * width // (2 * grid.w)).to(cells.labels.device)
    return cells.labels[0][rows][:, columns].flatten()


def _place(model: nn.Module, grid: Grid) -> nn.Module:
    """Where tokens have their positions and no block has run: timm's `patch_drop`, transformers' `embeddings`."""
    names = addresses(model)
    for module in model.modules():
        if names[id(module)].rsplit(".", 1)[-1] in PLACES:
            return module
    raise CallError(
        f"no place is known in {type(model).__name__} at which its {grid.tokens} tokens could be left out", hint=HINT
    )
